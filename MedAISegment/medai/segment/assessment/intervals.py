"""Bootstrap intervals of any statistic by drawing subjects anew with replacement (Efron and Tibshirani, 1993, ch. 14).

:func:`medai.segment.evaluation.bootstrap.mean_interval` does the same for the mean of one number a case.  Here a
subject may have several cases, which are drawn together, and a case several numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..evaluation.bootstrap import CHUNK, FEWEST_CASES, Interval
from .settings import MeasureSettings

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From an array (..., n, columns), in which a row of NaN is no case, to an array (...)."""


def interval(statistic: Statistic, rows: npt.ArrayLike, subjects: Sequence[str], settings: MeasureSettings) -> Interval:
    """Return a bootstrap interval of a statistic.

    Parameters
    ----------
    statistic : callable
        See :data:`Statistic`; it may return NaN for a draw for which it is undefined, and such draws are left out.
    rows : array, shape (n, columns)
        The numbers of each case, finite.
    subjects : sequence of str
        Whose each case is.
    settings : MeasureSettings
        ``interval``, ``confidence``, ``resamples``, ``seed``.
    """
    grouped = _by_subject(np.asarray(rows, dtype=np.float64), subjects)
    count = len(grouped)
    if count < FEWEST_CASES:
        return Interval(None, None, f"{count} subject{'' if count == 1 else 's'}; an interval needs {FEWEST_CASES}")
    value = float(statistic(_joined(grouped, np.arange(count)[None]))[0])
    if not np.isfinite(value):
        return Interval(None, None, "undefined for these cases")
    drawn = _drawn(statistic, grouped, settings)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(None, None, "undefined for every draw")
    tail = (1 - settings.confidence) / 2
    levels = (tail, 1 - tail)
    if settings.interval == "bca":
        levels = _corrected(statistic, grouped, drawn, value, tail)
    low, high = np.percentile(drawn, [100 * level for level in levels])
    return Interval(float(low), float(high))


def mean(rows: Floats) -> Floats:
    """Return the mean of the first column; a row of NaN is no case."""
    here = np.isfinite(rows[..., 0])
    return np.asarray(np.where(here, rows[..., 0], 0.0).sum(axis=-1) / np.maximum(here.sum(axis=-1), 1))


def _by_subject(rows: Floats, subjects: Sequence[str]) -> Floats:
    """Return an array (subjects, most cases of one, columns), filled up with NaN."""
    places: dict[str, list[int]] = {}
    for place, subject in enumerate(subjects):
        places.setdefault(subject, []).append(place)
    most = max((len(p) for p in places.values()), default=0)
    grouped = np.full((len(places), most, rows.shape[1] if rows.ndim == 2 else 1), np.nan)
    for number, subject in enumerate(sorted(places)):
        grouped[number, : len(places[subject])] = rows[places[subject]]
    return grouped


def _joined(grouped: Floats, draws: npt.NDArray[np.int64]) -> Floats:
    """Return the cases of drawn subjects, an array (draws, cases, columns)."""
    found = grouped[draws]
    return found.reshape(len(draws), -1, grouped.shape[2])


def _drawn(statistic: Statistic, grouped: Floats, settings: MeasureSettings) -> Floats:
    generator = np.random.default_rng(settings.seed)
    count = len(grouped)
    rows = max(1, CHUNK // grouped.size)
    parts = []
    for start in range(0, settings.resamples, rows):
        draws = generator.integers(0, count, (min(rows, settings.resamples - start), count))
        parts.append(statistic(_joined(grouped, draws)))
    return np.concatenate(parts)


def _corrected(statistic: Statistic, grouped: Floats, drawn: Floats, value: float, tail: float) -> tuple[float, float]:
    """Return the levels of the BCa interval: corrected for bias and, by leave-one-out values, for skewness."""
    from scipy.special import ndtr, ndtri

    count = len(grouped)
    below = float(((drawn < value).sum() + (drawn <= value).sum()) / (2 * len(drawn)))
    half = 0.5 / len(drawn)
    shift = float(ndtri(min(max(below, half), 1 - half)))
    others = np.array([[other for other in range(count) if other != left] for left in range(count)])
    left_out = statistic(_joined(grouped, others))
    apart = np.nanmean(left_out) - left_out[np.isfinite(left_out)]
    spread = float((apart**2).sum())
    skew = float((apart**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0
    pair = []
    for z in (float(ndtri(tail)), float(ndtri(1 - tail))):
        pair.append(float(ndtr(shift + (shift + z) / (1 - skew * (shift + z)))))
    return pair[0], pair[1]
