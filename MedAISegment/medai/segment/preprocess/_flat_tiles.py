"""Small padded pieces of an image whose neighbours are reached by steps along one flat array.

A piece lies in memory as one run of numbers, so the neighbours of all its voxels in one direction are the same run,
shifted: every operation is one call of NumPy on arrays that stay in the processor's cache.  Near the piece's rim the
shift runs on into the next row; the rim is the margin, whose results are thrown away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn

from ..slabs import for_slabs

Array = npt.NDArray[Any]
Triple = tuple[int, int, int]
Border = Literal["nearest", "mirror"]


class Scratch:
    """Arrays that one thread uses again and again, so that they stay in the cache."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._free: list[Array] = []

    @contextmanager
    def arrays(self, count: int, length: int) -> Iterator[list[Array]]:
        """Lend ``count`` flat arrays of ``length`` values: finite numbers, but any."""
        while len(self._free) < count:
            self._free.append(np.zeros(0, self._dtype))
        taken, self._free = self._free[:count], self._free[count:]
        taken = [one if len(one) >= length else np.zeros(length, self._dtype) for one in taken]
        try:
            yield [one[:length] for one in taken]
        finally:
            self._free = taken + self._free


def beyond(index: Array, size: int, border: Border) -> Array:
    """Map indices beyond an axis to those inside it.

    Parameters
    ----------
    border : {"nearest", "mirror"}
        The last voxel again, or the image mirrored about the centre of the last voxel (NumPy's ``reflect``).
    """
    if border == "nearest" or size == 1:
        return np.clip(index, 0, size - 1)
    index = np.mod(index, 2 * size - 2)
    return np.asarray(np.minimum(index, 2 * size - 2 - index))


def load(source: Array, start: Triple, margin: Triple, border: Border, out: Array) -> None:
    """Fill ``out`` with the image from ``start`` - ``margin`` on.

    Parameters
    ----------
    source, out : numpy array, shape (K, J, I)
        ``out`` may be of another type.
    """
    index = [
        beyond(np.arange(at - m, at - m + n), size, border)
        for at, m, n, size in zip(start, margin, out.shape, source.shape, strict=True)
    ]
    low = max(0, margin[2] - start[2])
    high = min(out.shape[2], source.shape[2] - start[2] + margin[2])
    first = start[2] - margin[2] + low
    rows = source[_span(index[0])][:, _span(index[1])]
    out[:, :, low:high] = rows[:, :, first : first + high - low]
    for column in [*range(low), *range(high, out.shape[2])]:
        out[:, :, column] = rows[:, :, index[2][column]]


def for_tiles(
    shape: Triple,
    tile: Triple,
    function: Callable[[Scratch, Triple, Triple], Any],
    *,
    dtype: npt.DTypeLike,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> list[Any]:
    """Call ``function(scratch, start, size)`` for every tile of an image, on several threads; results in order."""
    starts = [
        (k, j, i)
        for k in range(0, shape[0], tile[0])
        for j in range(0, shape[1], tile[1])
        for i in range(0, shape[2], tile[2])
    ]
    mine = threading.local()

    def one(number: int, _: int) -> Any:
        if not hasattr(mine, "scratch"):
            mine.scratch = Scratch(dtype)
        k, j, i = starts[number]
        size = (min(tile[0], shape[0] - k), min(tile[1], shape[1] - j), min(tile[2], shape[2] - i))
        with np.errstate(all="ignore"):  # the margin's numbers mean nothing
            return function(mine.scratch, (k, j, i), size)

    return for_slabs(len(starts), one, slab=1, progress=progress, cancel=cancel, message=message)


def inside(flat: Array, margin: Triple, size: Triple) -> Array:
    """Return the view of a padded tile's flat array without its margin."""
    shape = [n + 2 * m for n, m in zip(size, margin, strict=True)]
    k, j, i = (slice(m, m + n) for n, m in zip(size, margin, strict=True))
    return flat.reshape(shape)[k, j, i]


def _span(index: Array) -> Any:
    if len(index) and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index
