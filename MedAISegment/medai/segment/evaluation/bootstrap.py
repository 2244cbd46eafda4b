"""Confidence intervals of a mean by drawing cases anew with replacement (Efron and Tibshirani, 1993, ch. 13, 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FEWEST_CASES = 5
"""With fewer cases there are too few different draws: 4 cases give 35, and the ends of the interval are among them."""
CHUNK = 2_000_000


@dataclass(frozen=True)
class Interval:
    """An interval, or None twice and the reason why there is none."""

    low: float | None
    high: float | None
    reason: str = ""


def mean_interval(
    values: Sequence[float],
    *,
    method: str = "bca",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a bootstrap interval of the mean.

    Parameters
    ----------
    values : sequence of float
        One finite number a case.
    method : {"percentile", "bca"}
        BCa corrects for bias and skewness: it takes other percentiles of the resampled means, from the share of them
        below the mean and from the skewness of the leave-one-out means.  Equal to SciPy's ``bootstrap``.
    confidence : float
        Between 0 and 1.
    resamples : int
        Number of draws.
    seed : int
        The same seed and number of cases draw the same cases, whatever the measure.

    Examples
    --------
    >>> mean_interval([0.8, 0.9])
    Interval(low=None, high=None, reason='2 cases; an interval needs 5')
    """
    array = np.asarray(values, dtype=np.float64)
    count = len(array)
    if count < FEWEST_CASES:
        return Interval(None, None, f"{count} case{'' if count == 1 else 's'}; an interval needs {FEWEST_CASES}")
    mean = float(array.mean())
    if np.ptp(array) == 0:
        return Interval(mean, mean)
    means = _means(array, resamples, seed)
    tail = (1 - confidence) / 2
    levels = (tail, 1 - tail) if method == "percentile" else _corrected(array, means, mean, tail)
    low, high = np.percentile(means, [100 * level for level in levels])
    return Interval(float(low), float(high))


def _corrected(
    array: npt.NDArray[np.float64], means: npt.NDArray[np.float64], mean: float, tail: float
) -> tuple[float, float]:
    from scipy.special import ndtr, ndtri

    # Means equal to the sample's count half, so that a sample of few different values is not taken for biased.
    below = float(((means < mean).sum() + (means <= mean).sum()) / (2 * len(means)))
    half = 0.5 / len(means)
    bias = float(ndtri(min(max(below, half), 1 - half)))
    # The mean of the leave-one-out means, minus one of them, is (x - mean) / (n - 1); the factor cancels.
    apart = array - mean
    skew = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5))
    pair = []
    for z in (float(ndtri(tail)), float(ndtri(1 - tail))):
        pair.append(float(ndtr(bias + (bias + z) / (1 - skew * (bias + z)))))
    return pair[0], pair[1]


def _means(array: npt.NDArray[np.float64], resamples: int, seed: int) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK // len(array))
    parts = []
    for start in range(0, resamples, rows):
        draws = generator.integers(0, len(array), (min(rows, resamples - start), len(array)))
        parts.append(array[draws].mean(axis=1))
    return np.concatenate(parts)
