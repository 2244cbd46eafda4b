"""Each measure of each label over the cases, how well the volumes agree, and intervals of all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.bootstrap import Interval, mean_interval
from .agreement import bias, icc_a1, lower_limit, pearson, upper_limit
from .intervals import Statistic, interval, mean
from .rows import Row
from .settings import MeasureSettings

MEASURES = ("dice", "hd95_mm", "assd_mm", "volume_error_ml", "volume_error_percent")
AGREEMENT: dict[str, tuple[str, str, Statistic]] = {
    "pearson_r": ("1", "Pearson's correlation of the volumes.", pearson),
    "icc_a1": ("1", "Intraclass correlation for absolute agreement, ICC(2,1) = ICC(A,1).", icc_a1),
    "bias_ml": ("mL", "Mean of found minus reference volume.", bias),
    "lower_limit_ml": ("mL", "Bias minus 1.96 SD of the differences.", lower_limit),
    "upper_limit_ml": ("mL", "Bias plus 1.96 SD of the differences.", upper_limit),
}
"""Name -> (UCUM unit, description, formula)."""
DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One measure over the cases for which it is defined; ``undefined`` cases are left out.

    ``sd`` is the sample standard deviation; ``ci_low`` and ``ci_high`` are the bootstrap interval of the mean, and
    ``reason`` says why there is none.
    """

    n: int
    undefined: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number about all cases together, and its bootstrap interval; None where undefined."""

    n: int
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelSummary:
    """What is known of one label.

    Parameters
    ----------
    label, name : int, str
        The model's label; 0 for each case's mean over its labels.
    cases, failed, empty : int
        All cases, those without a result, and those in which reference or result has no voxel of the label.
    measures : dict
        A key of :data:`MEASURES` -> :class:`Spread`.
    agreement : dict
        A key of :data:`AGREEMENT` -> :class:`Estimate`, over the cases whose reference has the label; a case in which
        the model found nothing counts with a volume of 0.
    """

    label: int
    name: str
    cases: int
    failed: int
    empty: int
    measures: dict[str, Spread]
    agreement: dict[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values, rounded to 6 decimals."""
        return {
            **{key: getattr(self, key) for key in ("label", "name", "cases", "failed", "empty")},
            "measures": {key: _plain(value) for key, value in self.measures.items()},
            "agreement": {key: _plain(value) for key, value in self.agreement.items()},
        }


ALL = "Mean of the labels"
"""Name of the row about each case's mean over its labels."""


def summarise(rows: Sequence[Row], settings: MeasureSettings) -> tuple[LabelSummary, ...]:
    """Summarise each label, and each case's mean over its labels if there are several.

    Intervals draw subjects, not cases: several images of one person do not count as several people.

    Parameters
    ----------
    rows : sequence of Row
    settings : MeasureSettings
        ``interval``, ``confidence``, ``resamples``, ``seed``.
    """
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    found = [_label(label, groups[label], settings) for label in sorted(groups)]
    if len(found) > 1:
        found.append(_together(rows, settings))
    return tuple(found)


def _label(label: int, rows: list[Row], settings: MeasureSettings) -> LabelSummary:
    def number(key: str) -> Callable[[Row], float | None]:
        return lambda row: getattr(row, key)

    return LabelSummary(
        label=label,
        name=rows[0].name,
        cases=len(rows),
        failed=sum(row.status == "failed" for row in rows),
        empty=sum(row.status == "empty" for row in rows),
        measures={key: spread([(number(key)(r), r.subject) for r in rows], settings) for key in MEASURES},
        agreement=_agreement(rows, settings),
    )


def _together(rows: Sequence[Row], settings: MeasureSettings) -> LabelSummary:
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)
    measures = {}
    for key in MEASURES[:3]:
        means = []
        for members in cases.values():
            known = [value for r in members if (value := getattr(r, key)) is not None]
            means.append((float(np.mean(known)) if known else None, members[0].subject))
        measures[key] = spread(means, settings)
    failed = sum(all(r.status == "failed" for r in members) for members in cases.values())
    empty = sum(any(r.status == "empty" for r in members) for members in cases.values())
    return LabelSummary(
        label=0, name=ALL, cases=len(cases), failed=failed, empty=empty, measures=measures, agreement={}
    )


def spread(values: Sequence[tuple[float | None, str]], settings: MeasureSettings) -> Spread:
    """Return the spread of numbers, each with its subject; None is undefined."""
    known = [(float(value), subject) for value, subject in values if value is not None]
    missing = len(values) - len(known)
    if not known:
        return Spread(n=0, undefined=missing, reason="undefined in every case")
    array = np.array([value for value, _ in known])
    found = _mean_interval(array, [subject for _, subject in known], settings)
    return Spread(
        n=len(known), undefined=missing, mean=float(array.mean()),
        sd=float(array.std(ddof=1)) if len(array) > 1 else None, median=float(np.median(array)),
        minimum=float(array.min()), maximum=float(array.max()),
        ci_low=found.low, ci_high=found.high, reason=found.reason,
    )  # fmt: skip


def _mean_interval(array: Any, subjects: list[str], settings: MeasureSettings) -> Interval:
    if len(set(subjects)) < len(subjects):
        return interval(mean, array[:, None], subjects, settings)
    return mean_interval(
        array, method=settings.interval, confidence=settings.confidence, resamples=settings.resamples,
        seed=settings.seed,
    )  # fmt: skip


def _agreement(rows: list[Row], settings: MeasureSettings) -> dict[str, Estimate]:
    chosen = [r for r in rows if r.reference_ml and r.predicted_ml is not None]
    if not chosen:
        return {key: Estimate(n=0, reason="no case has a reference volume") for key in AGREEMENT}
    pairs = np.array([(r.reference_ml, r.predicted_ml) for r in chosen], dtype=np.float64)
    subjects = [r.subject for r in chosen]
    found = {}
    for key, (_, _, formula) in AGREEMENT.items():
        value = float(formula(pairs))
        if not np.isfinite(value):
            found[key] = Estimate(n=len(pairs), reason="too few cases, or volumes that do not vary")
            continue
        limits = interval(formula, pairs, subjects, settings)
        found[key] = Estimate(n=len(pairs), value=value, ci_low=limits.low, ci_high=limits.high, reason=limits.reason)
    return found


def _plain(value: Spread | Estimate) -> dict[str, Any]:
    return {key: round(item, DIGITS) if isinstance(item, float) else item for key, item in vars(value).items()}
