"""Exact percentiles of an image that is read slab by slab: no copy of the image is sorted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, no_progress

from ..slabs import for_slabs

HALF = 1 << 16
Values = Callable[[int, int], npt.NDArray[np.float32]]


def percentiles(values: Values, count: int, slab: int, percents: Sequence[float], cancel: CancelToken) -> list[float]:
    """Return percentiles with linear interpolation between ranks, as NumPy's ``percentile``.

    Two passes: the counts of the upper 16 bits of all numbers say in which bin a rank lies, the counts of the lower 16
    bits within the bin say which number it is.  Float32 numbers sort like their bits, the negative ones turned around.

    Parameters
    ----------
    values : callable
        ``values(start, stop)`` gives float32 numbers (any shape) of slices ``start`` to ``stop``; no NaN.
    count, slab : int
        Slices, and how many are read at a time.
    percents : sequence of float
        0 to 100.

    Raises
    ------
    ValueError
        If there is no number.
    """
    upper = _counts(values, count, slab, [None], cancel)[0]
    total = int(upper.sum())
    if not total:
        raise ValueError("percentiles of nothing")
    places = [percent / 100 * (total - 1) for percent in percents]
    ranks = sorted({r for place in places for r in (int(place), min(int(place) + 1, total - 1))})
    ends = np.cumsum(upper)
    bins = {rank: int(np.searchsorted(ends, rank, side="right")) for rank in ranks}
    wanted_bins = sorted(set(bins.values()))
    inside = _counts(values, count, slab, wanted_bins, cancel)
    lower = {wanted: np.cumsum(counts) for wanted, counts in zip(wanted_bins, inside, strict=True)}
    found = {}
    for rank, wanted in bins.items():
        before = int(ends[wanted] - upper[wanted])
        low = int(np.searchsorted(lower[wanted], rank - before, side="right"))
        found[rank] = _number(wanted * HALF + low)
    result = []
    for place in places:
        low = int(place)
        a, b = found[low], found[min(low + 1, total - 1)]
        result.append(a + (b - a) * (place - low))
    return result


def _counts(
    values: Values, count: int, slab: int, bins: Sequence[int | None], cancel: CancelToken
) -> npt.NDArray[np.int64]:
    """Count the upper halves of all numbers (bin None), or the lower halves of the numbers in a bin."""

    def part(start: int, stop: int) -> list[npt.NDArray[np.int64]]:
        keys = _keys(values(start, stop))
        upper = (keys >> np.uint32(16)).astype(np.uint16)
        chosen = (upper if b is None else keys[upper == b] & np.uint32(HALF - 1) for b in bins)
        return [np.bincount(numbers, minlength=HALF) for numbers in chosen]

    parts = for_slabs(count, part, slab=slab, progress=no_progress, cancel=cancel)
    return np.asarray(np.sum(parts, axis=0))


def _keys(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Whole numbers that sort as the given numbers do."""
    bits = np.ascontiguousarray(numbers, dtype=np.float32).reshape(-1) + np.float32(0.0)  # -0.0 becomes 0.0
    whole = bits.view(np.uint32)
    negative = (whole >> np.uint32(31)).astype(bool)
    return np.where(negative, ~whole, whole | np.uint32(1 << 31))


def _number(key: int) -> float:
    bits = key & 0x7FFFFFFF if key & (1 << 31) else ~key & 0xFFFFFFFF
    return float(np.array([bits], dtype=np.uint32).view(np.float32)[0])
