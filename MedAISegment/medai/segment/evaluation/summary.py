"""Measures over many cases: mean, spread, and a confidence interval by drawing cases anew."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .bootstrap import mean_interval
from .score import METRICS, Score
from .settings import EvaluateSettings

ALL = "(mean of segments)"
"""Segment name of the rows about each case's mean over its segments."""
_CARD = ("dice", "hd95_mm", "volume_error_percent")


@dataclass(frozen=True)
class Summary:
    """One measure of one segment over the cases that have it.

    Parameters
    ----------
    segment, label : str, int
        As in the first case; the rows about each case's mean over its segments have :data:`ALL` and 0.
    metric : str
        A key of :data:`medai.segment.evaluation.score.METRICS`.
    cases, n : int
        Cases with this segment, and those of them for which the measure is defined; only these count below.
    mean, sd, median, minimum, maximum : float or None
        None if n is 0; the sample standard deviation is None if n is 1.
    ci_low, ci_high : float or None
        Bootstrap interval of the mean; see :mod:`medai.segment.evaluation.bootstrap`.
    reason : str
        Why there is no interval.
    """

    segment: str
    label: int
    metric: str
    cases: int
    n: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON-ready values."""
        return asdict(self)


def summaries(scores: Sequence[Score], settings: EvaluateSettings) -> tuple[Summary, ...]:
    """Summarise each measure for each segment, and for each case's mean over its segments if there are several.

    Parameters
    ----------
    scores : sequence of Score
        Segments with the same key are the same.
    settings : EvaluateSettings
        ``interval``, ``confidence``, ``resamples``, ``seed``.
    """
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.matched_by, score.key), []).append(score)
    rows = []
    for group in sorted(groups.values(), key=lambda g: (g[0].status == "only_in_prediction", g[0].label)):
        for metric in METRICS:
            values = _defined(getattr(s, metric) for s in group)
            rows.append(_summary(group[0].segment, group[0].label, metric, len(group), values, settings))
    if len(groups) > 1:
        cases: dict[str, list[Score]] = {}
        for score in scores:
            cases.setdefault(score.case, []).append(score)
        for metric in METRICS:
            lists = [_defined(getattr(s, metric) for s in members) for members in cases.values()]
            means = [float(np.mean(values)) for values in lists if values]
            rows.append(_summary(ALL, 0, metric, len(cases), means, settings))
    return tuple(rows)


def _summary(
    segment: str, label: int, metric: str, cases: int, values: list[float], settings: EvaluateSettings
) -> Summary:
    interval = mean_interval(
        values,
        method=settings.interval,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    spread = _spread(values)
    spread["sd"] = spread["sd"] if len(values) > 1 else None
    limits = {"ci_low": interval.low, "ci_high": interval.high, "reason": interval.reason}
    return Summary(segment, label, metric, cases, **{**spread, **limits})


def summarise(scores: Sequence[Score]) -> dict[int, dict[str, Any]]:
    """Return what a model card shows of each label: cases, and mean, SD, median, minimum and maximum of three measures.

    The measures are Dice, HD95 and volume error in %; each counts the cases that have it.
    """
    summary: dict[int, dict[str, Any]] = {}
    for label in sorted({s.label for s in scores}):
        rows = [s for s in scores if s.label == label]
        summary[label] = {"cases": len(rows)}
        for key in _CARD:
            summary[label][key] = _spread(_defined(getattr(s, key) for s in rows))
    return summary


def _defined(values: Iterable[float | None]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def _spread(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"n": 0, "mean": None, "sd": None, "median": None, "minimum": None, "maximum": None}
    array = np.asarray(values)
    return {
        "n": len(values),
        "mean": float(array.mean()),
        "sd": float(array.std(ddof=1)) if len(values) > 1 else 0.0,
        "median": float(np.median(array)),
        "minimum": float(array.min()),
        "maximum": float(array.max()),
    }
