"""The best division of a histogram into classes of neighbouring values: multi-Otsu and k-means in one dimension."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def best_partition(values: Floats, weights: Floats, classes: int) -> list[int]:
    """Divide rising values into classes with the smallest sum of squares about their means; the global optimum.

    The same division has the largest variance between classes (Otsu) and is what k-means aims at (for one dimension:
    Wang and Song, The R Journal 3(2), 29 (2011)).  Dynamic programming over the number of classes; the best start of
    the last class never falls when the end grows, so each step halves its search (n log n).

    Parameters
    ----------
    values : array of float, shape (n,)
        Rising, all different.
    weights : array of float, shape (n,)
        Voxels of each value, greater than 0.
    classes : int
        2 to n.

    Returns
    -------
    list of int
        Index of the first value of the second, third, ... class.
    """
    count = len(values)
    shifted = values - np.average(values, weights=weights)  # keeps the sums small
    weight = np.concatenate([[0.0], np.cumsum(weights)])
    moment = np.concatenate([[0.0], np.cumsum(weights * shifted)])
    gain = np.full(count + 1, -np.inf)
    gain[1:] = moment[1:] ** 2 / weight[1:]
    starts = []
    for number in range(2, classes + 1):
        gain, start = _one_more(gain, weight, moment, number)
        starts.append(start)
    found, end = [], count
    for start in reversed(starts):
        end = int(start[end])
        found.append(end)
    return found[::-1]


def _one_more(gain: Floats, weight: Floats, moment: Floats, number: int) -> tuple[Floats, Ints]:
    """Return the best gain of ``number`` classes for each end, and where the last class then starts."""
    count = len(gain) - 1
    best = np.full(count + 1, -np.inf)
    chosen = np.zeros(count + 1, dtype=np.int64)
    # Each row is a range of ends (first, last) and the range of starts (low, high) that can be best for them.
    ranges = np.array([[number, count, number - 1, count - 1]], dtype=np.int64)
    while len(ranges):
        first, last, low, high = ranges.T
        end = (first + last) // 2
        sizes = np.minimum(high, end - 1) - low + 1
        offsets = np.cumsum(sizes) - sizes
        start = np.arange(sizes.sum()) - np.repeat(offsets - low, sizes)
        ends = np.repeat(end, sizes)
        total = gain[start] + (moment[ends] - moment[start]) ** 2 / (weight[ends] - weight[start])
        top = np.maximum.reduceat(total, offsets)
        places = np.flatnonzero(total == np.repeat(top, sizes))
        where = start[places[np.searchsorted(places, offsets)]]  # of equals the first
        best[end], chosen[end] = top, where
        left = np.stack([first, end - 1, low, where], axis=1)[first < end]
        right = np.stack([end + 1, last, where, high], axis=1)[end < last]
        ranges = np.concatenate([left, right])
    return best, chosen
