"""Connected components that hold the seeds, from runs of voxels instead of a label image: quick and small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, sub_progress

from ..components import Connectivity, label_components
from ..slabs import for_slabs

Mask = npt.NDArray[np.bool_]
Index = tuple[int, int, int]
MaskOf = Callable[[int, int], Mask]
"""``f(start, stop)``: the mask's slices from ``start`` to ``stop``."""

SLAB_VOXELS = 1 << 21
VOXELS_PER_RUN = 24
"""With fewer voxels per run than this (noise), a label image takes less memory than the runs."""


def slab_of(shape: tuple[int, ...]) -> int:
    """Return how many slices make a slab of about :data:`SLAB_VOXELS` voxels."""
    return max(1, SLAB_VOXELS // max(1, shape[1] * shape[2]))


class Parts(Protocol):
    """Connected components of a mask."""

    def at(self, index: Index) -> int:
        """Return the number of the component at a voxel (K, J, I), or -1 outside the mask."""

    def slices(self, start: int, stop: int, chosen: set[int]) -> Mask:
        """Return slices ``start`` to ``stop`` of the chosen components."""

    def under(self, start: int, mask: Mask) -> set[int]:
        """Return the components under the voxels of a mask, part of the whole, that begins at slice ``start``."""


def connected_parts(
    mask_of: MaskOf,
    shape: tuple[int, int, int],
    connectivity: Connectivity,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> Parts:
    """Return the connected components of a mask that is made slab by slab and never held as a whole.

    A run is a row of mask voxels along I.  Runs that touch runs of neighbouring rows are joined as a graph
    (``scipy.sparse.csgraph.connected_components``), so the work grows with the surface of the mask, not with the image.
    A mask of very many short runs is labelled voxel by voxel.

    Parameters
    ----------
    mask_of : callable
        Called from several threads.
    shape : tuple of int
        (K, J, I).
    connectivity : {6, 18, 26}
        Voxels are neighbours if they share a face, also an edge, or also a corner.
    """
    if 0 in shape:
        return _Runs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32), shape)
    slab = slab_of(shape)
    width = shape[2] + 1  # one voxel that is never set ends each row

    def part(start: int, stop: int) -> npt.NDArray[np.int64]:
        padded = np.zeros((stop - start, shape[1], width), dtype=np.int8)
        padded[..., : shape[2]] = mask_of(start, stop)
        changes = np.flatnonzero(np.diff(padded.reshape(-1), prepend=np.int8(0)))
        return changes + start * shape[1] * width

    first = sub_progress(progress, 0.0, 0.6)
    changes = np.concatenate(
        for_slabs(shape[0], part, slab=slab, progress=first, cancel=cancel, message=message), dtype=np.int64
    )
    starts, ends = changes[0::2], changes[1::2]
    rest = sub_progress(progress, 0.6, 1.0)
    if len(starts) * VOXELS_PER_RUN > shape[0] * shape[1] * shape[2] and len(starts) > 1 << 16:
        del changes, starts, ends
        return _labelled(mask_of, shape, connectivity, rest, cancel)
    component = _join(starts, ends, shape, connectivity, cancel)
    rest(1.0, message)
    return _Runs(starts, ends, component, shape)


def _join(
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    shape: tuple[int, int, int],
    connectivity: int,
    cancel: CancelToken,
) -> npt.NDArray[np.int32]:
    """Return the component of each run."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    width, rows = shape[2] + 1, shape[1]
    row = (starts // width) % rows
    pairs: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
    for dk, dj in ((0, 1), (1, -1), (1, 0), (1, 1)):
        steps = abs(dk) + abs(dj)
        if steps == 2 and connectivity == 6:
            continue
        cancel.check()
        # With a step along I still allowed, runs that only touch at their ends are neighbours too.
        reach = 1 if steps + 1 <= {6: 1, 18: 2, 26: 3}[connectivity] else 0
        inside = np.flatnonzero((row + dj >= 0) & (row + dj < rows))
        shift = (dk * rows + dj) * width
        low = np.searchsorted(ends, starts[inside] + (shift - reach), side="right")
        high = np.searchsorted(starts, ends[inside] + (shift + reach), side="left")
        count = np.maximum(high - low, 0)
        one = np.repeat(inside, count)
        # low, low + 1, ..., high - 1 for each run, all in one array
        other = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
        pairs.append((one.astype(np.int32), other.astype(np.int32)))
    cancel.check()
    one, other = (np.concatenate([pair[n] for pair in pairs]) for n in (0, 1))
    graph = coo_array((np.ones(len(one), dtype=np.bool_), (one, other)), shape=(len(starts), len(starts)))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component, dtype=np.int32)


class _Runs:
    """Components as runs in the order of the voxels; positions count one more voxel per row than there is."""

    def __init__(
        self,
        starts: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        component: npt.NDArray[np.int32],
        shape: tuple[int, int, int],
    ) -> None:
        self.starts, self.ends, self.component, self.shape = starts, ends, component, shape

    def at(self, index: Index) -> int:
        k, j, i = index
        place = (k * self.shape[1] + j) * (self.shape[2] + 1) + i
        run = int(np.searchsorted(self.starts, place, side="right")) - 1
        return int(self.component[run]) if run >= 0 and place < self.ends[run] else -1

    def under(self, start: int, mask: Mask) -> set[int]:
        _, rows, columns = self.shape
        k, j, i = np.nonzero(mask)
        runs = np.searchsorted(self.starts, ((k + start) * rows + j) * (columns + 1) + i, side="right") - 1
        return set(np.unique(self.component[runs]).tolist())

    def slices(self, start: int, stop: int, chosen: set[int]) -> Mask:
        _, rows, columns = self.shape
        plane = rows * (columns + 1)
        low, high = np.searchsorted(self.starts, [start * plane, stop * plane])
        ours = np.isin(self.component[low:high], np.fromiter(chosen, dtype=np.int32))
        edges = np.zeros(plane * (stop - start), dtype=np.int8)
        edges[self.starts[low:high][ours] - start * plane] = 1
        edges[self.ends[low:high][ours] - start * plane] = -1
        filled = np.cumsum(edges, dtype=np.int8, out=edges).view(np.bool_)
        return np.ascontiguousarray(filled.reshape(stop - start, rows, columns + 1)[..., :columns])


class _Labels:
    """Components as a label image."""

    def __init__(self, labels: npt.NDArray[np.int32], count: int) -> None:
        self.labels, self.count = labels, count

    def at(self, index: Index) -> int:
        return int(self.labels[index]) or -1

    def under(self, start: int, mask: Mask) -> set[int]:
        return set(np.unique(self.labels[start : start + len(mask)][mask]).tolist())

    def slices(self, start: int, stop: int, chosen: set[int]) -> Mask:
        keep = np.zeros(self.count + 1, dtype=np.bool_)
        keep[list(chosen)] = True
        return keep[self.labels[start:stop]]


def _labelled(
    mask_of: MaskOf, shape: tuple[int, int, int], connectivity: Connectivity, progress: ProgressFn, cancel: CancelToken
) -> _Labels:
    mask = np.empty(shape, dtype=np.bool_)

    def part(start: int, stop: int) -> None:
        mask[start:stop] = mask_of(start, stop)

    first, second = sub_progress(progress, 0.0, 0.2), sub_progress(progress, 0.2, 1.0)
    for_slabs(shape[0], part, slab=slab_of(shape), progress=first, cancel=cancel)
    labels, sizes = label_components(mask, connectivity, progress=second, cancel=cancel)
    return _Labels(labels, len(sizes) - 1)


def chosen_mask(parts: Parts, chosen: set[int]) -> MaskOf:
    """Return the mask of the chosen components, slab by slab."""
    return lambda start, stop: parts.slices(start, stop, chosen)


def sums(
    array: npt.NDArray[Any], parts: Parts, chosen: set[int], *, cancel: CancelToken, progress: ProgressFn
) -> tuple[int, float, float]:
    """Return (count, mean, sample variance) of an image's values in the chosen components.

    Each slab's variance is taken about its own mean and the slabs are put together (Chan, Golub and LeVeque, The
    American Statistician 37, 242 (1983)), so that nothing cancels far from zero.
    """

    def part(start: int, stop: int) -> tuple[int, float, float]:
        values = array[start:stop][parts.slices(start, stop, chosen)].astype(np.float64)
        if not values.size:
            return 0, 0.0, 0.0
        mean = values.mean()
        return values.size, float(mean), float(np.square(values - mean).sum())

    slab = slab_of(array.shape)
    count, mean, spread = 0, 0.0, 0.0
    for n, m, s in for_slabs(len(array), part, slab=slab, progress=progress, cancel=cancel):
        if n:
            step = m - mean
            spread += s + step**2 * count * n / (count + n)
            mean += step * n / (count + n)
            count += n
    return count, mean, spread / (count - 1) if count > 1 else 0.0
