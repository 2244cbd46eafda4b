"""The exact median of a box around every voxel, by sorting networks whose results neighbouring boxes share.

A tile of the image is sorted in small pieces: 2r + 1 neighbours along I, then such columns merged along J, then such
planes merged along K.  Each sorted column and plane serves all boxes that hold it.  Of the 2r + 1 pieces along an axis,
two neighbouring boxes share 2r; those are merged once, and one more piece gives each of the two results.  For that the
even and the odd rows and slices of a tile are kept apart.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._selection_network import Pool, merging, run, sorting

Array = npt.NDArray[Any]
Radii = tuple[int, int, int]
MAX_BOX, MAX_BOX_BYTES = 1331, 3000
"""The largest box: radius 5 for 16 bits, 4 for 32, 3 for 64; beyond, SimpleITK is as fast."""
_WORKING_OUT = threading.Lock()
ARRAY_BYTES = 1 << 20
EDGES = ((4, 8, 16), (4, 8, 16, 32, 64), (16, 32, 64, 128, 256, 512))
"""Sizes tried for a tile along K, J, I."""
CALL = 300_000
"""What calling NumPy costs, in voxels' worth of work: tiles must not be tiny."""


def worth_it(radii: Radii, itemsize: int) -> bool:
    """Return whether networks are the fastest way for such a box."""
    box = math.prod(2 * r + 1 for r in radii)
    return box <= MAX_BOX and box * itemsize <= MAX_BOX_BYTES


def tile_for(shape: tuple[int, int, int], radii: Radii, itemsize: int, memory: int) -> tuple[int, int, int]:
    """Return the tile's shape that wastes least on its margins and on calls, and whose arrays fit the memory.

    Parameters
    ----------
    shape, radii : tuple of int
        Of the image and of the box, along K, J, I.
    itemsize : int
        Bytes a value.
    memory : int
        Bytes for all arrays of one worker.
    """
    box = [2 * r + 1 for r in radii]
    arrays = 1.25 * box[0] * box[1] * box[2] + 4  # as counted for radii 1 to 5
    sizes = [
        sorted(
            {min(n + n % 2, edge) if r else min(n, edge) for edge in edges}
            if axis < 2
            else {min(n, edge) for edge in edges}
        )
        for axis, (n, r, edges) in enumerate(zip(shape, radii, EDGES, strict=True))
    ]
    best: tuple[float, tuple[int, int, int]] | None = None
    for k in sizes[0]:
        for j in sizes[1]:
            for i in sizes[2]:
                wide = i + 2 * radii[2]
                whole = (k + 2 * radii[0]) * (j + 2 * radii[1]) * wide
                fits = whole * itemsize <= ARRAY_BYTES and whole * itemsize * arrays <= memory
                # The three stages' shares of the work, each on the voxels that it needs.
                work = whole + 4 * (k + 2 * radii[0]) * j * wide + 8 * k * j * wide + CALL
                cost = work / (k * j * i) if fits else float(whole) * 1e9
                if best is None or cost < best[0]:
                    best = cost, (k, j, i)
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class _Sorted:
    """Sorted lists of ``size`` values, one list per array element.

    ``values[0]`` has rank ``lowest``; those below it and those above the last one cannot be the median.
    """

    values: list[Array]
    size: int
    lowest: int = 0

    def at(self, *index: Any) -> _Sorted:
        return _Sorted([value[index] for value in self.values], self.size, self.lowest)


class Worker:
    """Finds medians of tiles of one shape; keeps its arrays, so each thread needs its own.

    Parameters
    ----------
    tile : tuple of int
        Voxels of the result along K, J, I; even along K and J unless the radius there is 0.  See :func:`tile_for`.
    radii : tuple of int
        Voxels on each side of the centre along K, J, I.
    dtype : numpy type
        Native byte order.
    """

    def __init__(self, tile: tuple[int, int, int], radii: Radii, dtype: npt.DTypeLike) -> None:
        self.tile, self.radii = tile, radii
        box = [2 * r + 1 for r in radii]
        self.middle = (box[0] * box[1] * box[2] - 1) // 2
        k, j = (2 if r else 1 for r in radii[:2])
        # (parity of K, K, parity of J, J, I): a window along I may run on into the next row, where no result is used.
        self.shape = (k, tile[0] // k + radii[0], j, tile[1] // j + radii[1], tile[2] + 2 * radii[2])
        self.length = int(np.prod(self.shape))
        self.pool = Pool(self.length, dtype)
        self.input = np.zeros(self.shape, dtype)

    def median(self, source: Array, start: tuple[int, int, int], result: Array) -> None:
        """Write the medians of the boxes around a tile's voxels.

        Parameters
        ----------
        source, result : numpy array, shape (K, J, I)
            The image, and where the medians go; beyond the image's border its nearest voxel counts.
        start : tuple of int
            First voxel of the tile.  What lies beyond the image's end is left out.
        """
        self._load(source, start)
        middle = self._middle()
        shape = [min(n, size - at) for n, size, at in zip(self.tile, source.shape, start, strict=True)]
        for pk in range(self.shape[0]):
            for pj in range(self.shape[2]):
                target = result[
                    start[0] + pk : start[0] + shape[0] : self.shape[0],
                    start[1] + pj : start[1] + shape[1] : self.shape[2],
                    start[2] : start[2] + shape[2],
                ]
                target[...] = middle[pk, : target.shape[0], pj, : target.shape[1], : target.shape[2]]
        self.pool.give_back([middle])

    def _load(self, source: Array, start: tuple[int, int, int]) -> None:
        parity_k, _, parity_j, _, _ = self.shape
        index = [
            np.clip(np.arange(at - r, at + n + r), 0, size - 1)
            for at, r, n, size in zip(start, self.radii, self.tile, source.shape, strict=True)
        ]
        left = int(np.searchsorted(index[2], 0, side="right")) - 1 if index[2][0] == 0 else 0
        inside = index[2][left:]
        count = int(inside[-1] - inside[0]) + 1
        columns = slice(int(inside[0]), int(inside[0]) + count)
        for pk in range(parity_k):
            for pj in range(parity_j):
                part = self.input[pk, :, pj]
                rows = source[_range(index[0][pk::parity_k])][:, _range(index[1][pj::parity_j]), columns]
                part[:, :, left : left + count] = rows
                part[:, :, :left] = part[:, :, left : left + 1]
                part[:, :, left + count :] = part[:, :, left + count - 1 : left + count]

    def _middle(self) -> Array:
        parity_k, slices, parity_j, rows, width = self.shape
        reach_k, reach_j, reach_i = self.radii
        lists = _Sorted([self.input], 1)
        own = False
        if reach_i:
            lists, own = self._columns(lists, last=not (reach_k or reach_j)), True
        if reach_j:
            shaped = [v.reshape(parity_k * slices, 2, rows, width) for v in lists.values]
            lists = self._slide(_Sorted(shaped, lists.size, lists.lowest), reach_j, own, last=not reach_k)
            own, rows = True, rows - reach_j
        if reach_k:
            shaped = [v.reshape(1, 2, slices, parity_j * rows * width) for v in lists.values]
            lists = self._slide(_Sorted(shaped, lists.size, lists.lowest), reach_k, own, last=True)
            slices -= reach_k
        (only,) = lists.values
        return only.reshape(parity_k, slices, parity_j, rows, width)

    def _columns(self, lists: _Sorted, *, last: bool) -> _Sorted:
        flat = lists.values[0].reshape(-1)
        count = 2 * self.radii[2] + 1
        rank = (count // 2, count // 2) if last else (0, count - 1)
        length = len(flat) - count + 1
        views = [flat[at : at + length] for at in range(count)]
        found = run(sorting(count, *rank), views, (length,), self.pool)
        return _Sorted([one.base[: self.length] for one in found if one.base is not None], count)

    def _slide(self, lists: _Sorted, reach: int, own: bool, *, last: bool) -> _Sorted:
        """Merge 2 reach + 1 neighbours along the axis (parity 1, position 2) of arrays of four axes."""
        count = lists.values[0].shape[2]
        every = slice(None)
        even, odd = lists.at(every, 0), lists.at(every, 1)
        blocks = {1: self._merge(odd.at(every, slice(0, count - 1)), even.at(every, slice(1, count)))}
        length = 1
        while 2 * length <= reach:
            old = blocks[length]
            steps = old.values[0].shape[1] - length
            blocks[2 * length] = self._merge(old.at(every, slice(0, steps)), old.at(every, slice(length, None)))
            length *= 2
        block, done = blocks[length], length
        while done < reach:
            length = max(one for one in blocks if one <= reach - done)
            steps = blocks[length].values[0].shape[1] - done
            joined = self._merge(block.at(every, slice(0, steps)), blocks[length].at(every, slice(done, None)))
            if block is not blocks.get(done):
                self.pool.give_back(block.values)
            block, done = joined, done + length
        for one in blocks.values():
            if one is not block:
                self.pool.give_back(one.values)
        single = _Sorted([_ends(value, reach) for value in lists.values], lists.size, lists.lowest)
        found = self._merge(single, block.at(every, None), only_middle=last)
        self.pool.give_back(block.values)
        if own:
            self.pool.give_back(lists.values)
        return found

    def _merge(self, a: _Sorted, b: _Sorted, *, only_middle: bool = False) -> _Sorted:
        size = a.size + b.size
        skipped = a.lowest + b.lowest
        lowest = self.middle if only_middle else max(skipped, size - 1 - self.middle)
        highest = self.middle if only_middle else min(skipped + len(a.values) + len(b.values) - 1, self.middle)
        with _WORKING_OUT:  # the second thread finds it worked out
            network = merging(len(a.values), len(b.values), lowest - skipped, highest - skipped)
        shape = np.broadcast_shapes(a.values[0].shape, b.values[0].shape)
        return _Sorted(run(network, [*a.values, *b.values], shape, self.pool), size, lowest)


def _ends(array: Array, reach: int) -> Array:
    """Return the piece that each of two neighbouring boxes does not share: (A, 2, H, B) to (A, 2, H - reach, B)."""
    outer, parity, step, inner = array.strides
    shape = (array.shape[0], 2, array.shape[2] - reach, array.shape[3])
    # The even box begins with even row m, the odd one ends with odd row m + reach.
    strides = (outer, parity + reach * step, step, inner)
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)


def _range(index: npt.NDArray[np.intp]) -> Any:
    """Return evenly spaced indices as a slice, which copies faster."""
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    if step > 0 and (np.diff(index) == step).all():
        return slice(int(index[0]), int(index[-1]) + 1, step)
    return index
