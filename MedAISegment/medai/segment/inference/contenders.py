"""Which channels can have the largest interpolated score somewhere in a block."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Pairs:
    """Pairs of a block and one of its channels: the first channel of every block, then the second of those with two.

    Parameters
    ----------
    count : array of int, shape (blocks,)
        Channels of each block, at least 1; falling.
    """

    def __init__(self, count: Array) -> None:
        self.counts = [int((count > rank).sum()) for rank in range(int(count[0]))]
        self.block = np.concatenate([np.arange(n) for n in self.counts])
        self.rank = np.repeat(np.arange(len(self.counts)), self.counts)


def contenders(corners: Array, found: Array, pairs: Pairs) -> Array:
    """Tell which pairs may have the largest score somewhere between the voxels of their block; shape (pairs,).

    In a cell (eight voxels around a gap) the largest interpolated score is nowhere less than the smallest of the eight
    scores of any one channel.  A channel that has less at all eight voxels cannot win there.
    """
    blocks = pairs.counts[0]
    wins = np.zeros((blocks, len(pairs.counts)), dtype=bool)
    wins[np.arange(blocks)[:, None], found.reshape(blocks, -1)] = True
    some = np.flatnonzero(wins[pairs.block, pairs.rank])
    some = some[np.argsort(pairs.block[some], kind="stable")]
    lowest = corners[some]
    axes = [axis for axis in (1, 2, 3) if corners.shape[axis] > 1]
    for axis in axes:
        lowest = _smaller_neighbours(lowest, axis)
    begin = np.flatnonzero(np.diff(pairs.block[some], prepend=-1))
    floor = np.maximum.reduceat(lowest, begin, axis=0)
    # A voxel counts for every cell that it is a corner of.
    for axis in axes:
        ends = floor.take([0], axis=axis), floor.take([-1], axis=axis)
        floor = np.concatenate([ends[0], _smaller_neighbours(floor, axis), ends[1]], axis=axis)
    reaches = corners >= floor[pairs.block]
    return np.asarray(reaches.reshape(len(corners), -1).any(axis=1))


def _smaller_neighbours(array: Array, axis: int) -> Array:
    """Return the smaller of each two neighbours along an axis: one fewer than there are."""
    low = [slice(None)] * array.ndim
    high = list(low)
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    return np.asarray(np.minimum(array[tuple(low)], array[tuple(high)]))
