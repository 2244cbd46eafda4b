"""Connected components that hold the seeds, from runs of voxels instead of a label image: quick and small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, sub_progress

from ..components import Connectivity, component_runs_of, label_noise, looked_up
from ..runs import MaskOf, Runs
from ..slabs import for_slabs

Mask = npt.NDArray[np.bool_]
Keep = npt.NDArray[np.bool_]
"""For each component, from number 0 on, whether it is chosen."""
Index = tuple[int, int, int]

SLAB_VOXELS = 1 << 21


def slab_of(shape: tuple[int, ...]) -> int:
    """Return how many slices make a slab of about :data:`SLAB_VOXELS` voxels."""
    return max(1, SLAB_VOXELS // max(1, shape[1] * shape[2]))


class Parts(Protocol):
    """Connected components of a mask, numbered from 1; 0 is what lies outside."""

    count: int

    def at(self, index: Index) -> int:
        """Return the number of the component at a voxel (K, J, I), 0 outside the mask."""

    def slices(self, start: int, stop: int, keep: Keep) -> Mask:
        """Return slices ``start`` to ``stop`` of the components n with ``keep[n]``."""

    def under(self, start: int, mask: Mask) -> npt.NDArray[np.int32]:
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

    The runs of :mod:`medai.segment.runs`; a mask of very many short runs (noise) is labelled voxel by voxel.

    Parameters
    ----------
    mask_of : callable
        Called from several threads.
    shape : tuple of int
        (K, J, I).
    connectivity : {6, 18, 26}
        Voxels are neighbours if they share a face, also an edge, or also a corner.
    """
    first, rest = sub_progress(progress, 0.0, 0.6), sub_progress(progress, 0.6, 1.0)
    found = component_runs_of(mask_of, shape, connectivity, progress=first, cancel=cancel, message=message)
    if found is None:
        return _labelled(mask_of, shape, connectivity, rest, cancel)
    rest(1.0, message)
    return _Runs(*found)


class _Runs:
    """Components as runs in the order of the voxels."""

    def __init__(self, runs: Runs, numbers: npt.NDArray[np.int32], sizes: npt.NDArray[np.int64]) -> None:
        self.runs, self.count = runs, len(sizes) - 1
        self.numbers = np.append(numbers, np.int32(0))  # the last one is that of run -1

    def at(self, index: Index) -> int:
        return int(self.numbers[self.runs.at(*index)])

    def under(self, start: int, mask: Mask) -> npt.NDArray[np.int32]:
        k, j, i = np.nonzero(mask)
        return np.unique(self.numbers[self.runs.at(k + start, j, i)])

    def slices(self, start: int, stop: int, keep: Keep) -> Mask:
        return np.ascontiguousarray(self.runs.slices(keep[self.numbers[:-1]], start, stop))


class _Labels:
    """Components as a label image."""

    def __init__(self, labels: npt.NDArray[np.int32], count: int) -> None:
        self.labels, self.count = labels, count

    def at(self, index: Index) -> int:
        return int(self.labels[index])

    def under(self, start: int, mask: Mask) -> npt.NDArray[np.int32]:
        return np.unique(self.labels[start : start + len(mask)][mask])

    def slices(self, start: int, stop: int, keep: Keep) -> Mask:
        return looked_up(keep, self.labels[start:stop])


def _labelled(
    mask_of: MaskOf, shape: tuple[int, int, int], connectivity: Connectivity, progress: ProgressFn, cancel: CancelToken
) -> _Labels:
    mask = np.empty(shape, dtype=np.bool_)

    def part(start: int, stop: int) -> None:
        mask[start:stop] = mask_of(start, stop)

    first, second = sub_progress(progress, 0.0, 0.2), sub_progress(progress, 0.2, 1.0)
    for_slabs(shape[0], part, slab=slab_of(shape), progress=first, cancel=cancel)
    labels, sizes = label_noise(mask, connectivity, progress=second, cancel=cancel)
    return _Labels(labels, len(sizes) - 1)


def keep_of(parts: Parts, chosen: Iterable[int]) -> Keep:
    """Return the mark of each component, True for the chosen ones; 0 is never one."""
    keep = np.zeros(parts.count + 1, dtype=np.bool_)
    keep[np.fromiter(chosen, dtype=np.intp)] = True
    keep[0] = False
    return keep


def chosen_mask(parts: Parts, chosen: set[int]) -> MaskOf:
    """Return the mask of the chosen components, slab by slab."""
    keep = keep_of(parts, chosen)
    return lambda start, stop: parts.slices(start, stop, keep)


def sums(
    array: npt.NDArray[Any], parts: Parts, chosen: set[int], *, cancel: CancelToken, progress: ProgressFn
) -> tuple[int, float, float]:
    """Return (count, mean, sample variance) of an image's values in the chosen components.

    Each slab's variance is taken about its own mean and the slabs are put together (Chan, Golub and LeVeque, The
    American Statistician 37, 242 (1983)), so that nothing cancels far from zero.
    """
    mask_of = chosen_mask(parts, chosen)

    def part(start: int, stop: int) -> tuple[int, float, float]:
        values = array[start:stop][mask_of(start, stop)].astype(np.float64)
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
