"""Labels of a group of slices: block by block, only where several classes compete, and only those classes.

What other programs do (every class interpolated everywhere, then the arg-max) costs classes times voxels of the image.
Here the largest and smallest score of each class in each block of the model's grid are found first, with one pass over
the scores.  Linear interpolation never leaves that range, so in most blocks one class is certain.  In the others the
same bound, cell by cell, leaves a few classes; these are interpolated by small matrix products, and a running maximum
finds the label.  Nothing is left out that could have won, so the labels are those of the long way but for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import ModelError
from medai.core.progress import CancelToken, no_progress

from ..slabs import for_slabs
from .axes import Blocks
from .contenders import Pairs, contenders
from .rule import Rule

Array = npt.NDArray[Any]
BATCH_VALUES = 1 << 18
"""Interpolated scores (float32) worked on at a time: 1 MiB, what a core's second cache holds."""
ROWS_OF_BLOCKS = 16
"""Rows of blocks whose extremes a call finds."""


@dataclass(frozen=True, eq=False)
class Group:
    """Consecutive slices of the model's grid and what the image has between them.

    Parameters
    ----------
    parts : tuple of array, each of float32, shape (channels, slices, J, I)
        The slices in order: all that interpolation needs, already cut to the rows and columns in use.
    own : int
        How many of them, from the first on, belong to this group.
    weights : array of float32, shape (slices, k)
        What each slice adds to each of the image's ``k`` slices in the group.
    same : bool
        The own slices are the image's.
    """

    parts: tuple[Array, ...]
    own: int
    weights: Array
    same: bool

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return sum(part.shape[1] for part in self.parts)


def label_group(
    group: Group, rows: Blocks, columns: Blocks, rule: Rule, out: Array, winners: Array, cancel: CancelToken
) -> int:
    """Write the labels of a group of slices.

    Parameters
    ----------
    rows, columns : Blocks
        The blocks along J and I.
    out : array of the rule's label type, shape (k, j, i)
        Gets the image's labels inside the model's box.
    winners : array of the rule's code type, shape (own, J, I)
        Gets the code of each voxel of the model's grid.

    Returns
    -------
    int
        Blocks in which something had to be interpolated.

    Raises
    ------
    ModelError
        If a score is NaN or infinite.
    """
    most, least = extremes(group, rows, columns, cancel)
    if not (np.isfinite(most).all() and np.isfinite(least).all()):
        raise ModelError(
            "The network's output holds NaN or infinite scores.",
            hint="Run it in full precision (f32), or check the model's weights and the image's values.",
        )
    blocks = (len(rows), len(columns))
    code, doubt = rule.settle(most.reshape(len(most), -1), least.reshape(len(least), -1))
    code = code.astype(rule.codes)
    _paint(winners, code.reshape(blocks), np.diff(rows.owns), np.diff(columns.owns))
    _paint(out, rule.values[code].reshape(blocks), np.diff(rows.targets), np.diff(columns.targets))
    block, channel = np.nonzero(doubt.T)
    if not len(block):
        return 0
    open_blocks, first, count = np.unique(block, return_index=True, return_counts=True)
    order = np.argsort(-count, kind="stable")
    open_blocks, first, count = open_blocks[order], first[order], count[order]
    work = _Work(group, rows, columns, rule, code, channel, out, winners)
    batches = _batches(count, work.values_per_pair)

    def run(start: int, stop: int) -> None:
        for low, high in batches[start:stop]:
            work.run(open_blocks[low:high], first[low:high], count[low:high])

    for_slabs(len(batches), run, slab=1, progress=no_progress, cancel=cancel)
    return len(open_blocks)


def extremes(group: Group, rows: Blocks, columns: Blocks, cancel: CancelToken) -> tuple[Array, Array]:
    """Return the largest and the smallest score in each block's window, each of shape (channels, rows, columns)."""
    channels = len(group.parts[0])
    most = np.empty((channels, len(rows), len(columns)), dtype=np.float32)
    least = np.empty_like(most)
    bands = -(-len(rows) // ROWS_OF_BLOCKS)

    def run(start: int, stop: int) -> None:
        for number in range(start, stop):
            channel, band = divmod(number, bands)
            low, high = band * ROWS_OF_BLOCKS, min((band + 1) * ROWS_OF_BLOCKS, len(rows))
            begin, end = int(rows.starts[low]), int(rows.starts[high - 1]) + rows.window
            starts = rows.starts[low:high] - begin
            for reduce, result in ((np.maximum, most), (np.minimum, least)):
                plane = reduce.reduce(group.parts[0][channel, :, begin:end], axis=0)
                for part in group.parts[1:]:
                    reduce(plane, reduce.reduce(part[channel, :, begin:end], axis=0), out=plane)
                plane = _windows(reduce, plane, starts, rows.step, rows.window)
                result[channel, low:high] = _windows(reduce, plane.T, columns.starts, columns.step, columns.window).T

    for_slabs(channels * bands, run, slab=8, progress=no_progress, cancel=cancel)
    return most, least


def _windows(reduce: Any, array: Array, starts: Array, step: int, window: int) -> Array:
    """Reduce windows of the first axis; ``starts`` go up by ``step``, but for the last."""
    regular = len(starts) - int(len(starts) > 1 and starts[-1] != starts[-2] + step)
    result = np.empty((len(starts), *array.shape[1:]), dtype=array.dtype)
    stop = (regular - 1) * step + 1
    part = result[:regular]
    part[...] = array[:stop:step]
    for shift in range(1, window):
        reduce(part, array[shift : stop + shift : step], out=part)
    if regular < len(starts):
        result[-1] = reduce.reduce(array[starts[-1] : starts[-1] + window], axis=0)
    return result


def _paint(array: Array, blocks: Array, rows: Array, columns: Array) -> None:
    array[...] = np.repeat(np.repeat(blocks, rows, axis=0), columns, axis=1)


def _batches(count: Array, values: int) -> list[tuple[int, int]]:
    """Cut blocks into runs that need about the memory wanted; blocks of many channels come first."""
    limit = max(1, BATCH_VALUES // max(values, 1))
    cut = np.cumsum(count) // limit
    edges = [0, *(np.flatnonzero(np.diff(cut)) + 1).tolist(), len(count)]
    return list(pairwise(edges))


class _Work:
    """Interpolation in the blocks of one group."""

    def __init__(
        self, group: Group, rows: Blocks, columns: Blocks, rule: Rule, code: Array, channel: Array,
        out: Array, winners: Array,
    ) -> None:  # fmt: skip
        self.group, self.rows, self.columns, self.rule = group, rows, columns, rule
        self.code, self.channel, self.out, self.winners = code, channel, out, winners
        self.same = group.same and rows.same and columns.same
        self.values_per_pair = group.slices * rows.window * columns.window
        fine = group.weights.shape[1] * rows.weights.shape[2] * columns.weights.shape[2]
        self.fine_values_per_pair = max(fine, self.values_per_pair)
        view = np.lib.stride_tricks.sliding_window_view
        self.windows = [view(part, (rows.window, columns.window), axis=(2, 3)) for part in group.parts]

    def run(self, blocks: Array, first: Array, count: Array) -> None:
        """Label some blocks; ``first`` and ``count`` say where in ``channel`` their channels in doubt are."""
        row, column = np.divmod(blocks, len(self.columns))
        pairs = Pairs(count)
        channel = self.channel[first[pairs.block] + pairs.rank]
        corners = self._gather(channel, row[pairs.block], column[pairs.block])
        found = self.rule.choose(corners, pairs.counts)
        codes = self._codes(self.code[blocks], channel, pairs)
        height, width = self.rows.window, self.columns.window
        for n, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
            y, x = int(self.rows.starts[r]), int(self.columns.starts[c])
            self.winners[:, y : y + height, x : x + width] = codes[n].take(found[n, : self.group.own])
        if self.same:
            self._write(row, column, codes, found)
        elif self.group.weights.shape[1]:
            kept = np.arange(len(corners))
            if self.rule.limit is None:
                kept = np.flatnonzero(contenders(corners, found, pairs))
            self._refine(blocks, channel, corners, pairs.block, kept)

    def _refine(self, blocks: Array, channel: Array, corners: Array, block: Array, kept: Array) -> None:
        """Interpolate the pairs ``kept`` and write the labels; ``block`` is each pair's position in ``blocks``."""
        left = np.bincount(block[kept], minlength=len(blocks))
        # Blocks with the most channels come first again; in each, channels rise.
        order = np.argsort(-left, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        kept = kept[np.lexsort((channel[kept], place[block[kept]]))]
        blocks, left = blocks[order], left[order]
        begin = np.cumsum(left) - left
        row, column = np.divmod(blocks, len(self.columns))
        for low, high in _batches(left, self.fine_values_per_pair):
            some = slice(low, high)
            pairs = Pairs(left[some])
            chosen = kept[begin[some][pairs.block] + pairs.rank]
            codes = self._codes(self.code[blocks[some]], channel[chosen], pairs)
            scores = self._interpolate(corners[chosen], row[some][pairs.block], column[some][pairs.block])
            self._write(row[some], column[some], codes, self.rule.choose(scores, pairs.counts))

    def _write(self, row: Array, column: Array, codes: Array, chosen: Array) -> None:
        """Write the labels of blocks; ``chosen`` is a position in each block's ``codes``."""
        values = self.rule.values[codes]
        for n, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
            y, h = int(self.rows.begin[r]), int(self.rows.count[r])
            x, w = int(self.columns.begin[c]), int(self.columns.count[c])
            if h and w:
                self.out[:, y : y + h, x : x + w] = values[n].take(chosen[n, : len(self.out), :h, :w])

    def _codes(self, code: Array, channel: Array, pairs: Pairs) -> Array:
        """Return the code that each choice stands for, shape (blocks, choices)."""
        shift = int(self.rule.limit is not None)
        codes = np.zeros((len(code), len(pairs.counts) + shift), dtype=self.rule.codes)
        if shift:
            codes[:, 0] = code
        codes[pairs.block, pairs.rank + shift] = channel + shift
        return codes

    def _gather(self, channel: Array, row: Array, column: Array) -> Array:
        """Return the scores in the windows, shape (pairs, slices, window, window)."""
        shape = (len(channel), self.group.slices, self.rows.window, self.columns.window)
        corners = np.empty(shape, dtype=np.float32)
        y, x = self.rows.starts[row], self.columns.starts[column]
        start = 0
        for part in self.windows:
            stop = start + part.shape[1]
            corners[:, start:stop] = part.transpose(0, 2, 3, 1, 4, 5)[channel, y, x]
            start = stop
        return corners

    def _interpolate(self, corners: Array, row: Array, column: Array) -> Array:
        """Return the scores on the image's grid, shape (pairs, k, j, i).

        Each product sums over the first axis and puts its result last, so three of them come round to K, J, I.
        """
        pairs, _, height, width = corners.shape
        k = self.group.weights.shape[1]
        array = corners.reshape(pairs, -1, height * width).swapaxes(1, 2) @ self.group.weights
        array = array.reshape(pairs, height, width * k).swapaxes(1, 2) @ self.rows.weights[row]
        array = array.reshape(pairs, width, -1).swapaxes(1, 2) @ self.columns.weights[column]
        return array.reshape(pairs, k, self.rows.weights.shape[2], self.columns.weights.shape[2])
