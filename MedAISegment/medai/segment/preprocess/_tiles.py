"""Tiles of an image, a map of grey values for each, and the blend of the maps between the tiles' centres."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Maps = npt.NDArray[np.float32]
Bins = npt.NDArray[np.uint16]
CHUNK = 1 << 18
"""Voxels that are blended at a time."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Tiles along one axis.

    Parameters
    ----------
    size, edge, count : int
        Voxels along the axis, voxels of a tile, tiles.
    index : array of int, shape (count * edge,)
        Voxel that stands at each place of the tiles: mirrored about the last voxel beyond the far border.
    low, high : array of int, shape (size,)
        For each voxel the tiles whose centres lie before and after it; beyond the outer centres the outer tile twice.
    share : array of float32, shape (size,)
        How far the voxel lies from the first centre to the second, 0 to 1.
    """

    size: int
    edge: int
    count: int
    index: npt.NDArray[np.intp]
    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    share: npt.NDArray[np.float32]

    @classmethod
    def of(cls, size: int, edge: int) -> Axis:
        """Cut an axis of ``size`` voxels into tiles of ``edge`` (at most ``size``) voxels."""
        count = -(-size // edge)
        index = np.arange(count * edge)
        index = np.where(index < size, index, 2 * (size - 1) - index)
        # In units of a tile, from the centre of the tile before the first.
        place = (np.arange(size) + 0.5) / edge + 0.5
        after = np.floor(place).astype(np.intp)
        low, high = (np.clip(tile, 0, count - 1) for tile in (after - 1, after))
        return cls(size, edge, count, index.astype(np.intp), low, high, (place - after).astype(np.float32))

    def groups(self) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of the runs of voxels between the same two centres."""
        cuts = np.flatnonzero((np.diff(self.low) != 0) | (np.diff(self.high) != 0)) + 1
        edges = [0, *(int(c) for c in cuts), self.size]
        yield from itertools.pairwise(edges)


def counts_of(bins: Bins, rows: Axis, columns: Axis, size: int) -> Counts:
    """Return the histograms of a slice's tiles, shape (rows.count, columns.count, size).

    Parameters
    ----------
    bins : array of uint16, shape (J, I)
        Bin of each voxel, below ``size``.
    """
    found = np.empty((rows.count, columns.count, size), dtype=np.int64)
    offset = np.arange(columns.count * columns.edge) // columns.edge * size
    whole = columns.size == columns.count * columns.edge
    for tile in range(rows.count):
        strip = bins[rows.index[tile * rows.edge : (tile + 1) * rows.edge]]
        strip = strip if whole else strip[:, columns.index]
        found[tile] = np.bincount((strip + offset).reshape(-1), minlength=columns.count * size).reshape(-1, size)
    return found


def maps_of(counts: Counts, clip: float) -> Maps:
    """Return the share of a tile's voxels up to each bin, after its counts were limited.

    Parameters
    ----------
    counts : array, shape (..., bins + 1)
        Counts; the last bin holds voxels without a value, which do not count.
    clip : float
        Largest share of the voxels in one bin; what is above is spread evenly over the bins below the limit.

    Returns
    -------
    array of float32, shape (..., bins + 1)
        0 to 1; a tile without a voxel gets a straight line.
    """
    number = counts.shape[-1] - 1
    height = counts[..., :-1].astype(np.float64)
    total = height.sum(axis=-1, keepdims=True)
    limit = np.maximum(clip * total, total / number)
    excess = np.maximum(height - limit, 0).sum(axis=-1, keepdims=True)
    height = np.minimum(height, limit)
    for _ in range(number):
        if (excess <= 1e-6 * total).all():
            break
        free = (height < limit).sum(axis=-1, keepdims=True)
        raised = np.minimum(height + excess / np.maximum(free, 1), limit)
        excess = np.where(free > 0, excess - (raised - height).sum(axis=-1, keepdims=True), 0.0)
        height = raised
    height += total == 0
    below = np.cumsum(height, axis=-1)
    maps = np.zeros(counts.shape, dtype=np.float32)
    maps[..., :-1] = below / below[..., -1:]
    return maps


def blended(bins: Bins, maps: Maps, rows: Axis, columns: Axis) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """Yield (rows, share) of a slice: each voxel's value in the maps of the four tiles around it, linearly blended.

    Parameters
    ----------
    bins : array of uint16, shape (J, I)
        Bin of each voxel.
    maps : array of float32, shape (rows.count, columns.count, bins + 1)
        See :func:`maps_of`.
    """
    size = maps.shape[-1]
    flat = maps.reshape(-1)
    step = max(1, CHUNK // columns.size)
    right = columns.share
    for start in range(0, rows.size, step):
        chosen = slice(start, min(start + step, rows.size))
        down = rows.share[chosen, None]
        sides = []
        for column in (columns.low, columns.high):
            place = bins[chosen] + column * size
            above, below = (
                np.take(flat, place + tile[chosen, None] * (columns.count * size), mode="clip")
                for tile in (rows.low, rows.high)
            )
            below -= above
            below *= down
            below += above
            sides.append(below)
        left, other = sides
        other -= left
        other *= right
        other += left
        yield chosen, other
