"""Filters that weigh neighbours along one axis after the other, as products with narrow matrices.

Filtering a line is a product with a matrix whose rows hold the weights around the diagonal.  Cut into blocks of rows,
with the columns that are zero left out, it does a few times the multiplications that are needed, and the BLAS library
behind ``numpy.matmul`` does those many times faster than anything else on a processor.  What stands beyond the border
is folded into the matrix, so no image is ever padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, sub_progress

from ..slabs import for_slabs
from ._values import real_type

Array = npt.NDArray[Any]
Border = Literal["reflect", "nearest"]
CHUNK = 1 << 17
"""Voxels filtered along K at once: few enough to stay in the cache."""


ROWS = 16
"""Rows of a block: more waste multiplications by zero, fewer waste calls."""
PRODUCT = 1 << 18
"""Multiplications of one matrix product.  OpenBLAS starts threads of its own above, which get in the way of ours."""


@dataclass(frozen=True)
class _Block:
    """Values ``start`` to ``stop`` of a filtered line are ``matrix`` times values ``low`` to ``high`` of the line."""

    start: int
    stop: int
    low: int
    high: int
    matrix: Array


class Axis:
    """Correlation of lines of ``size`` values with ``weights`` (an odd number of them).

    Parameters
    ----------
    border : {"reflect", "nearest"}
        What stands beyond the ends: the line mirrored about the edge of its last value, or its last value again, as in
        :mod:`scipy.ndimage`.
    """

    def __init__(self, weights: Sequence[float] | Array, size: int, border: Border, dtype: npt.DTypeLike) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        self.border = border
        reach = len(self.weights) // 2
        self.blocks = [self._block(at, min(at + ROWS, size), size, reach, dtype) for at in range(0, size, ROWS)]

    def _block(self, start: int, stop: int, size: int, reach: int, dtype: npt.DTypeLike) -> _Block:
        source = np.arange(start, stop)[:, None] + np.arange(-reach, reach + 1)
        if self.border == "nearest":
            source = np.clip(source, 0, size - 1)
        else:
            source = np.mod(source, 2 * size)
            source = np.minimum(source, 2 * size - 1 - source)
        low, high = int(source.min()), int(source.max()) + 1
        matrix = np.zeros((stop - start, high - low))
        rows = np.broadcast_to(np.arange(stop - start)[:, None], source.shape)
        np.add.at(matrix, (rows, source - low), np.broadcast_to(self.weights, source.shape))
        return _Block(start, stop, low, high, matrix.astype(dtype))

    def filter(self, lines: Array, out: Array, along: int) -> None:
        """Filter a matrix of lines that run along its axis 0 or 1; ``out`` is another matrix.

        NaN and infinity reach only the values whose neighbourhood holds them.
        """
        if not np.isfinite(lines).all():
            # Zero times infinity is NaN: the matrices' zeros would spread it.
            from scipy.ndimage import correlate1d

            correlate1d(lines, self.weights, axis=along, output=out, mode=self.border)
            return
        for block in self.blocks:
            # Each product of a stack is one call of the BLAS; NumPy makes them without holding Python's lock.
            count = max(ROWS, PRODUCT // block.matrix.size)
            if along == 0:
                source, target = lines[block.low : block.high], out[block.start : block.stop]
                for part, place in zip(_stacks(source, count, 1), _stacks(target, count, 1), strict=True):
                    np.matmul(block.matrix, part, out=place)
            else:
                source, target = lines[:, block.low : block.high], out[:, block.start : block.stop]
                for part, place in zip(_stacks(source, count, 0), _stacks(target, count, 0), strict=True):
                    np.matmul(part, block.matrix.T, out=place)


def _stacks(matrix: Array, count: int, axis: int) -> list[Array]:
    """Cut a matrix along ``axis`` into a stack of pieces of ``count``, and the rest; views."""
    size = matrix.shape[axis]
    whole = size // count * count
    found = []
    for start, stop, length in ((0, whole, count), (whole, size, size - whole)):
        if stop > start:
            piece = matrix[:, start:stop] if axis else matrix[start:stop]
            shape = (len(matrix), -1, length) if axis else (-1, length, matrix.shape[1])
            stack = piece.reshape(shape)  # splitting an axis never copies
            found.append(stack.transpose(1, 0, 2) if axis else stack)
    return found


def correlate(
    source: Array,
    weights: Sequence[Sequence[float] | Array],
    *,
    border: Border,
    divisor: float = 1.0,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> Array:
    """Correlate an image (K, J, I) with weights along K, J and I and divide the sums.

    Parameters
    ----------
    source : numpy array, shape (K, J, I)
        Any type of real numbers.
    weights : three sequences of float
        An odd number for each axis; a single 1 leaves the axis alone.
    divisor : float
        Weights that are whole numbers give exact sums of small integers, which are then divided once.

    Returns
    -------
    numpy array, shape (K, J, I)
        float64 for float64, else float32; no other array of the image's size is made.
    """
    dtype = real_type(source)
    axes = [
        Axis(w, n, border, dtype) if len(w) > 1 or w[0] != 1 else None
        for w, n in zip(weights, source.shape, strict=True)
    ]
    along_k, along_j, along_i = axes
    slices, rows, columns = source.shape
    result: Array = np.empty(source.shape, dtype)
    flat = result.reshape(slices, rows * columns)

    def deep(start: int, stop: int) -> None:
        lines = np.empty((slices, (stop - start) * columns), dtype)
        lines.reshape(slices, stop - start, columns)[...] = source[:, start:stop]
        out = flat[:, start * columns : stop * columns]
        assert along_k is not None
        with np.errstate(invalid="ignore", over="ignore"):
            along_k.filter(lines, out, 0)

    def flat_slices(start: int, stop: int) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            for number in range(start, stop):
                plane = result[number] if along_k is not None else source[number].astype(dtype)
                if along_j is not None:
                    other = np.empty((rows, columns), dtype)
                    along_j.filter(plane, other, 0)
                    plane = other
                if along_i is not None:
                    other = np.empty((rows, columns), dtype)
                    along_i.filter(plane, other, 1)
                    plane = other
                if divisor != 1.0:
                    np.divide(plane, dtype.type(divisor), out=result[number])
                else:
                    result[number] = plane

    share = 0.0
    if along_k is not None:
        share = 0.5
        some = max(1, CHUNK // (slices * columns))
        first = sub_progress(progress, 0.0, share)
        for_slabs(rows, deep, slab=some, progress=first, cancel=cancel, message=message)
    some = max(1, CHUNK // (rows * columns))
    second = sub_progress(progress, share, 1.0)
    for_slabs(slices, flat_slices, slab=some, progress=second, cancel=cancel, message=message)
    return result
