"""What both ways of smoothing share: a new label for each voxel, from the labels around it, without gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from medai.core.errors import SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.boxes import Box, bounding_box, widened
from medai.segment.slabs import for_slabs, with_halo

from ._base import chosen
from ._masks import finished

Labels = npt.NDArray[np.uint16]
Vote = Callable[[Labels], Labels]
FROZEN = 65535
"""Stands for every segment not worked on, inside :func:`smoothed`."""
SLAB_VOXELS = 1 << 21


def smoothed(
    value: LabelMap,
    names: tuple[str, ...],
    halo: tuple[int, int, int],
    vote: Vote,
    *,
    title: str,
    progress: ProgressFn,
    cancel: CancelToken,
) -> LabelMap:
    """Give each voxel the label that ``vote`` finds for it; segments not worked on stay as they are.

    Parameters
    ----------
    names : tuple of str
        Segments that are smoothed together; none means all.
    halo : tuple of int
        How far a voxel's surroundings reach along K, J, I.
    vote : callable
        ``vote(labels) -> labels``: takes slices with the halo at both ends and returns the new labels without it.
        ``FROZEN`` voxels are neither background nor one of the segments: they do not vote, and what becomes of them is
        ignored.

    Raises
    ------
    SettingsError
        If the halo is wider than 300 voxels and than four times an axis.
    """
    segments = chosen(value, names)
    for reach, size in zip(halo, value.array.shape, strict=True):
        # Memory and time have no other bound where voxels are much smaller than the smoothing.
        if reach > max(4 * size, 300):
            raise SettingsError(
                f"{title}: a reach of {reach} voxels is too wide for an axis of {size}.", hint="Use a smaller length."
            )
    # Labels beyond 65534 cannot be told from FROZEN, so the segments are numbered from 1 here.
    highest = max([s.label for s in value.segments], default=0)
    forth = np.full(highest + 1, FROZEN, dtype=np.uint16)
    back = np.zeros(len(segments) + 1, dtype=value.array.dtype)
    forth[0] = 0
    for number, segment in enumerate(segments, start=1):
        forth[segment.label] = number
        back[number] = segment.label
    mine = (forth != FROZEN) & (forth > 0)
    box = bounding_box(np.take(mine, value.array))
    if box is None:
        return finished(value, value.array)
    result = value.array.copy()
    # A voxel may change up to a halo away from the segments, and sees what is a halo further on.
    wide = widened(box, tuple(2 * n for n in halo), value.array.shape)  # type: ignore[arg-type]
    source, target = value.array[wide], result[wide]

    def part(start: int, stop: int) -> None:
        around = np.take(forth, with_halo(source, start, stop, halo[0], mode="nearest"))
        here = around[halo[0] : halo[0] + stop - start]
        target[start:stop] = np.where(here == FROZEN, source[start:stop], back[_where_it_matters(around, halo, vote)])

    slab = max(1, 2 * halo[0], SLAB_VOXELS // max(1, source[0].size))
    for_slabs(len(source), part, slab=slab, progress=progress, cancel=cancel, message=title)
    return finished(value, result)


def _where_it_matters(around: Labels, halo: tuple[int, int, int], vote: Vote) -> Labels:
    """Vote only in the box around the places where labels differ; elsewhere everybody agrees."""
    depth = len(around) - 2 * halo[0]
    result = around[halo[0] : halo[0] + depth].copy()
    box = _boundary(around)
    if box is not None:
        _, j, i = widened(box, tuple(2 * n for n in halo), around.shape)  # type: ignore[arg-type]
        result[:, j, i] = vote(np.ascontiguousarray(around[:, j, i]))
    result[result == FROZEN] = 0
    return result


def each_label(labels: Labels, halo: tuple[int, int, int]) -> Iterator[tuple[int, Box, slice, Box]]:
    """Go through the labels that can win a vote somewhere.

    Yields
    ------
    label : int
        Background and ``FROZEN`` included, in their order.
    window : tuple of slice
        The label's box and a halo around it: beyond, nobody sees the label.
    inner : slice
        The window's slices along K that are no halo of ``labels``.
    place : tuple of slice
        Where the inner slices of the window lie in ``labels`` without its halo.
    """
    stop = len(labels) - halo[0]
    for label in np.unique(labels).tolist():
        box = bounding_box(labels == label)
        assert box is not None
        window = widened(box, halo, labels.shape)
        first, last = max(window[0].start, halo[0]), min(window[0].stop, stop)
        if first < last:
            inner = slice(first - window[0].start, last - window[0].start)
            yield label, window, inner, (slice(first - halo[0], last - halo[0]), window[1], window[2])


def _boundary(labels: Labels) -> Box | None:
    """Return the box of the voxels that differ from the next one along an axis."""
    edge = np.zeros(labels.shape, dtype=np.bool_)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[..., 1:] |= labels[..., 1:] != labels[..., :-1]
    return bounding_box(edge)
