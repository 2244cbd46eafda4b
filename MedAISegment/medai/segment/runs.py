"""Masks as runs, rows of mask voxels along I: where there are few, work grows with the surface, not the volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn

from .slabs import for_slabs

Places = npt.NDArray[np.int64]
MaskOf = Callable[[int, int], npt.NDArray[np.bool_]]
"""``f(start, stop)``: a mask's slices from ``start`` to ``stop``."""
SLAB_VOXELS = 1 << 20


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of a mask, in the order of their first voxels.

    Parameters
    ----------
    starts, ends : int64 array
        Places of each run's first voxel and of the one behind its last, in rows of one voxel more than the mask has, so
        that no run reaches into the next row.
    shape : tuple of int
        The mask's (K, J, I).
    """

    starts: Places
    ends: Places
    shape: tuple[int, int, int]

    @property
    def lengths(self) -> Places:
        """Voxels of each run."""
        return self.ends - self.starts

    def kji(self) -> tuple[Places, Places, Places]:
        """Return K, J and I of each run's first voxel."""
        row, i = np.divmod(self.starts, self.shape[2] + 1)
        k, j = np.divmod(row, max(1, self.shape[1]))
        return k, j, i

    def paint(self, values: npt.NDArray[Any], *, progress: ProgressFn, cancel: CancelToken) -> npt.NDArray[Any]:
        """Return an image (K, J, I) with a value for each run and zero elsewhere."""
        result = np.empty(self.shape, dtype=values.dtype)

        def part(start: int, stop: int) -> None:
            result[start:stop] = self.slices(values, start, stop)

        for_slabs(self.shape[0], part, slab=_slab(self.shape), progress=progress, cancel=cancel, message="Components")
        return result

    def slices(self, values: npt.NDArray[Any], start: int, stop: int) -> npt.NDArray[Any]:
        """Return slices ``start`` to ``stop`` of what :meth:`paint` returns."""
        plane = self.shape[1] * (self.shape[2] + 1)
        low, high = np.searchsorted(self.starts, [start * plane, stop * plane])
        # Gap, run, gap, run, ..., gap: each with its value and its length.
        bounds = np.empty(2 * (high - low) + 2, dtype=np.int64)
        bounds[0], bounds[-1] = start * plane, stop * plane
        bounds[1:-1:2], bounds[2:-1:2] = self.starts[low:high], self.ends[low:high]
        steps = np.zeros(len(bounds) - 1, dtype=values.dtype)
        steps[1::2] = values[low:high]
        rows = np.repeat(steps, np.diff(bounds)).reshape(stop - start, self.shape[1], self.shape[2] + 1)
        return rows[..., : self.shape[2]]

    def at(self, k: npt.ArrayLike, j: npt.ArrayLike, i: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the run of each voxel, -1 for one outside the mask."""
        places = (np.asarray(k) * self.shape[1] + np.asarray(j)) * (self.shape[2] + 1) + np.asarray(i)
        run = np.searchsorted(self.starts, places, side="right") - 1
        inside = run >= 0
        if len(self.ends):
            inside &= places < self.ends[run]
        return np.where(inside, run, -1)

    def joined(self, connectivity: int, cancel: CancelToken) -> tuple[npt.NDArray[np.int32], Places]:
        """Return each run's component, numbered from 1 in the order of first voxels, and the components' sizes.

        Parameters
        ----------
        connectivity : {6, 18, 26}
            Voxels are neighbours if they share a face, also an edge, or also a corner.

        Returns
        -------
        numbers : int32 array
        sizes : int64 array
            Voxels of each component; ``sizes[0]`` is 0.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        rows, width = self.shape[1], self.shape[2] + 1
        row = (self.starts // width) % max(1, rows)
        ones, others = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for dk, dj in ((0, 1), (1, -1), (1, 0), (1, 1)):
            # Steps that are left for I: a face is one step, an edge two, a corner three.
            left = {6: 1, 18: 2, 26: 3}[connectivity] - dk - abs(dj)
            if left < 0:
                continue
            cancel.check()
            near = np.flatnonzero((row + dj >= 0) & (row + dj < rows))
            shift = (dk * rows + dj) * width
            beside = min(1, left)
            low = np.searchsorted(self.ends, self.starts[near] + (shift - beside), side="right")
            high = np.searchsorted(self.starts, self.ends[near] + (shift + beside), side="left")
            count = high - low
            ones.append(np.repeat(near, count))
            # low, low + 1, ..., high - 1 of each run, one after the other
            others.append(np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - low, count))
        one, other = np.concatenate(ones), np.concatenate(others)
        total = len(self.starts)
        pairs = (one.astype(np.int32), other.astype(np.int32))
        graph = coo_array((np.ones(len(one), dtype=np.bool_), pairs), shape=(total, total))
        cancel.check()
        _, groups = connected_components(graph, directed=False)
        return in_order(groups, self.lengths)


def runs_of(
    mask_of: MaskOf, shape: tuple[int, int, int], *, progress: ProgressFn, cancel: CancelToken, message: str = ""
) -> Runs:
    """Return the runs of a mask (K, J, I) that need not be held as a whole; ``mask_of`` is called from threads."""
    rows, width = shape[1], shape[2] + 1

    def part(start: int, stop: int) -> Places:
        padded = np.zeros((stop - start, rows, width), dtype=np.bool_)
        padded[..., :-1] = mask_of(start, stop)
        flat = padded.reshape(-1)
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        # Each row ends outside the mask, so only the first one can begin with a change that has nothing before it.
        first = np.zeros(1 if flat.size and flat[0] else 0, dtype=np.int64)
        places: Places = np.concatenate([first, changes]) + start * rows * width
        return places

    found = for_slabs(shape[0], part, slab=_slab(shape), progress=progress, cancel=cancel, message=message)
    changes = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    return Runs(changes[0::2].copy(), changes[1::2].copy(), (shape[0], rows, shape[2]))


def in_order(groups: npt.NDArray[Any], voxels: Places) -> tuple[npt.NDArray[np.int32], Places]:
    """Return groups numbered from 1 in the order of their first members, and the voxels of each.

    Parameters
    ----------
    groups : array of int
        Group of each member, the members in the order of their first voxels.
    voxels : int64 array
        Voxels of each member.

    Returns
    -------
    numbers : int32 array
        The new number of each member's group.
    sizes : int64 array
        Voxels of each group; ``sizes[0]`` is 0.
    """
    count = int(groups.max(initial=-1)) + 1
    first = np.full(count, len(groups), dtype=np.int64)
    np.minimum.at(first, groups, np.arange(len(groups)))
    rank = np.empty(count + 1, dtype=np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(1, count + 1)
    numbers = rank[groups]
    sizes = np.zeros(count + 1, dtype=np.int64)
    np.add.at(sizes, numbers, voxels)
    return numbers, sizes


def _slab(shape: tuple[int, ...]) -> int:
    return max(1, SLAB_VOXELS // max(1, shape[1] * shape[2]))
