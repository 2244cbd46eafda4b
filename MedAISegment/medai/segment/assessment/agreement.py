"""How well two series of volumes agree: Pearson's r, the intraclass correlation, bias and limits of agreement.

All functions take arrays (..., n, 2): n pairs (reference, found) in the second last axis, any number of series before
it; a pair with NaN is left out.  What is undefined is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LIMIT = 1.96
"""Limits of agreement lie this many standard deviations from the bias (Bland and Altman, Lancet 1986)."""


def pearson(pairs: Floats) -> Floats:
    """Return Pearson's correlation r; NaN if a series does not vary or has fewer than 3 pairs."""
    values, here, count = _masked(pairs)
    apart = np.where(here[..., None], values - _mean(values, here, count)[..., None, :], 0.0)
    cross = (apart[..., 0] * apart[..., 1]).sum(axis=-1)
    squares = (apart**2).sum(axis=-2)
    return _over(cross, np.sqrt(squares[..., 0] * squares[..., 1]), count >= 3)


def icc_a1(ratings: Floats) -> Floats:
    """Return the intraclass correlation for absolute agreement of single measurements.

    ICC(2,1) of Shrout and Fleiss (Psychol Bull 1979; 86:420), called ICC(A,1) by McGraw and Wong (Psychol Methods
    1996; 1:30): ``(MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n)`` with the mean squares of rows (subjects),
    columns (raters) and the rest of a two-way analysis of variance.  Unlike r it falls with a constant difference.

    Parameters
    ----------
    ratings : array, shape (..., n, k)
        n subjects by k raters; a subject with a NaN is left out.
    """
    values, here, count = _masked(ratings)
    k = values.shape[-1]
    n = count.astype(np.float64)
    columns = _mean(values, here, count)
    grand = columns.mean(axis=-1)
    rows = values.mean(axis=-1)
    apart = np.where(here, rows - grand[..., None], 0.0)
    rest = values - rows[..., None] - columns[..., None, :] + grand[..., None, None]
    rest = np.where(here[..., None], rest, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_rows = k * (apart**2).sum(axis=-1) / (n - 1)
        of_columns = n * ((columns - grand[..., None]) ** 2).sum(axis=-1) / (k - 1)
        error = (rest**2).sum(axis=(-2, -1)) / ((n - 1) * (k - 1))
        below = of_rows + (k - 1) * error + k * (of_columns - error) / n
    return _over(of_rows - error, below, count >= 3)


def bias(pairs: Floats) -> Floats:
    """Return the mean of found minus reference."""
    values, here, count = _masked(pairs)
    return _over(np.where(here, values[..., 1] - values[..., 0], 0.0).sum(axis=-1), count, count >= 1)


def lower_limit(pairs: Floats) -> Floats:
    """Return the lower limit of agreement: the bias minus 1.96 sample standard deviations of the differences."""
    return bias(pairs) - LIMIT * _sd_of_differences(pairs)


def upper_limit(pairs: Floats) -> Floats:
    """Return the upper limit of agreement: the bias plus 1.96 sample standard deviations of the differences."""
    return bias(pairs) + LIMIT * _sd_of_differences(pairs)


def _sd_of_differences(pairs: Floats) -> Floats:
    values, here, count = _masked(pairs)
    apart = np.where(here, values[..., 1] - values[..., 0] - bias(pairs)[..., None], 0.0)
    return np.sqrt(_over((apart**2).sum(axis=-1), count - 1, count >= 2))


def _masked(pairs: Floats) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return the pairs with 0 where they are left out, which ones are there, and how many."""
    array = np.asarray(pairs, dtype=np.float64)
    here: npt.NDArray[np.bool_] = np.asarray(np.isfinite(array).all(axis=-1))
    return np.where(here[..., None], array, 0.0), here, here.sum(axis=-1)


def _mean(values: Floats, here: npt.NDArray[np.bool_], count: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(values.sum(axis=-2) / np.maximum(count, 1)[..., None])


def _over(above: Any, below: Any, defined: Any) -> Floats:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    # Sums of squares of equal numbers are not exactly 0 in floating point.
    good = np.asarray(defined) & (np.abs(below) > 1e-12)
    return np.where(good, above / np.where(good, below, 1.0), np.nan)
