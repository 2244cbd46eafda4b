"""Exact percentiles, means and standard deviations of large images, without sorting them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.progress import CancelToken, no_progress

from ..histogram import SLAB_VOXELS, Histogram, histogram_of, value_range
from ..slabs import for_slabs

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
BINS = 4096
GATHER = 1 << 22
"""A bin of more voxels than this is divided again instead of being copied."""


class Moments(NamedTuple):
    """Number, mean and standard deviation (of the population) of values."""

    number: int
    mean: float
    sd: float


def moments(
    array: Array, mask: Mask | None = None, *, between: tuple[float, float] | None = None, cancel: CancelToken
) -> Moments:
    """Return number, mean and standard deviation of the finite values, computed in float64.

    Slabs are joined by the formula of Chan, Golub and LeVeque (American Statistician 37, 242 (1983)), which does not
    lose digits where the mean is large beside the deviation.

    Parameters
    ----------
    array : array, shape (K, J, I)
        Never changed.
    mask : array of bool, shape (K, J, I), optional
        Only its voxels count.
    between : (low, high), optional
        Only values from low to high, both included, count.
    """
    if array.dtype.kind in "iub":
        histogram = histogram_of(array, mask, cancel=cancel)
        if histogram.exact:
            return _moments_of(histogram, between)

    def part(start: int, stop: int) -> tuple[int, float, float]:
        values = _chosen(array, mask, start, stop)
        if between is not None:
            values = values[(values >= between[0]) & (values <= between[1])]
        if not values.size:
            return 0, 0.0, 0.0
        with np.errstate(all="ignore"):
            mean = float(values.mean())
            values -= mean
            return values.size, mean, float(np.dot(values, values))

    count, mean, spread = 0, 0.0, 0.0
    for n, m, s in _slabs(array, part, cancel):
        if n:
            delta, total = m - mean, count + n
            mean += delta * n / total
            spread += s + delta * delta * count * n / total
            count = total
    return Moments(count, mean, math.sqrt(spread / count) if count else 0.0)


def _moments_of(histogram: Histogram, between: tuple[float, float] | None) -> Moments:
    values, counts = histogram.centres, histogram.counts
    if between is not None:
        chosen = (values >= between[0]) & (values <= between[1])
        values, counts = values[chosen], counts[chosen]
    number = int(counts.sum())
    if not number:
        return Moments(0, 0.0, 0.0)
    mean = float(np.dot(values, counts)) / number
    return Moments(number, mean, math.sqrt(float(np.dot((values - mean) ** 2, counts)) / number))


def percentiles(
    array: Array, percents: Sequence[float], mask: Mask | None = None, *, cancel: CancelToken
) -> list[float]:
    """Return for each of ``percents`` the smallest value that so many % of the finite voxels do not exceed.

    That is NumPy's ``percentile(..., method="inverted_cdf")``: always a value of the image.  Whole numbers are looked
    up in their histogram; of real numbers only the bins in question are copied and searched.

    Raises
    ------
    InputError
        If there is no finite value, or their range is infinite.
    """
    if array.dtype.kind in "iub":
        histogram = histogram_of(array, mask, cancel=cancel)
        if histogram.exact:
            return [histogram.percentile(p) for p in percents]
    total = value_range(array, mask, cancel)[2]
    return _ranked(array, mask, [max(1, math.ceil(p / 100 * total)) for p in percents], cancel)


def binned(
    array: Array, mask: Mask | None, low: float, high: float, bins: int, cancel: CancelToken
) -> npt.NDArray[np.int64]:
    """Count the finite values from ``low`` to ``high`` in equal bins; whole and real numbers alike."""
    width = (high - low) / bins

    def count(values: npt.NDArray[np.float64], weights: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
        inside = (values >= low) & (values <= high)
        place = np.minimum((values[inside] - low) / width, bins - 1).astype(np.int32)
        found = np.bincount(place, None if weights is None else weights[inside], minlength=bins)
        return np.asarray(found, dtype=np.int64)

    if array.dtype.kind in "iub":
        histogram = histogram_of(array, mask, cancel=cancel)
        if histogram.exact:
            return count(histogram.centres, histogram.counts)
    return np.asarray(sum(_slabs(array, lambda a, b: count(_chosen(array, mask, a, b)), cancel)))


def _ranked(array: Array, mask: Mask | None, ranks: list[int], cancel: CancelToken) -> list[float]:
    """Return the values of the given ranks, 1 being the smallest."""
    low, high, _, _ = (float(v) for v in value_range(array, mask, cancel))
    width = (high - low) / BINS
    if low == high:
        return [low] * len(ranks)
    if not math.isfinite(width):
        raise InputError(f"The image's values span from {low:g} to {high:g}, which is too much to be counted.")
    if not low + width > low or not high - width < high:
        found = histogram_of(array, mask, cancel=cancel)  # so few different values that each is counted
        below = np.cumsum(found.counts)
        return [float(found.centres[np.searchsorted(below, rank)]) for rank in ranks]

    def place(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        return np.minimum((values - low) / width, BINS - 1).astype(np.int32)

    counts = sum(_slabs(array, lambda a, b: np.bincount(place(_chosen(array, mask, a, b)), minlength=BINS), cancel))
    below = np.cumsum(counts)
    bins = [int(np.searchsorted(below, rank)) for rank in ranks]
    wanted = np.zeros(BINS, dtype=np.bool_)
    wanted[[b for b in bins if counts[b] <= GATHER]] = True

    def gather(start: int, stop: int) -> npt.NDArray[np.float64]:
        values = _chosen(array, mask, start, stop)
        return np.asarray(values[wanted[place(values)]])

    few = np.concatenate(_slabs(array, gather, cancel))
    few.sort()
    where = place(few)
    answer: list[float] = []
    for rank, number in zip(ranks, bins, strict=True):
        rest = rank - int(below[number] - counts[number])
        if wanted[number]:
            answer.append(float(few[np.searchsorted(where, number) + rest - 1]))
            continue
        inner = np.zeros(array.shape, dtype=np.bool_)

        def mark(start: int, stop: int, number: int = number, inner: Mask = inner) -> None:
            values = array[start:stop]
            with np.errstate(all="ignore"):
                share = (values.astype(np.float64) - low) / width
                found = np.isfinite(share) & (np.minimum(share, BINS - 1).astype(np.int32) == number)
            inner[start:stop] = found if mask is None else found & mask[start:stop]

        _slabs(array, mark, cancel)
        answer += _ranked(array, inner, [rest], cancel)
    return answer


def _chosen(array: Array, mask: Mask | None, start: int, stop: int) -> npt.NDArray[np.float64]:
    """Return a copy of the finite values of some slices."""
    values = array[start:stop] if mask is None else array[start:stop][mask[start:stop]]
    if array.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            values = values[finite]
    return values.astype(np.float64).reshape(-1)


def _slabs(array: Array, part: Any, cancel: CancelToken) -> list[Any]:
    slab = max(1, SLAB_VOXELS // max(1, array[0].size))
    return for_slabs(len(array), part, slab=slab, progress=no_progress, cancel=cancel)
