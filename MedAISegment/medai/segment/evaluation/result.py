"""What an evaluation returns, as values, tables, CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medai.core.csvtext import write_csv
from medai.core.errors import InputError
from medai.core.table import Cell, Column, Table

from .score import METRICS, Score
from .settings import EvaluateSettings
from .summary import Summary, summaries

SCHEMA = "medai.evaluation/1"
_SPREAD = {
    "mean": "Mean over the cases.",
    "sd": "Sample standard deviation.",
    "median": "Median.",
    "minimum": "Minimum.",
    "maximum": "Maximum.",
    "ci_low": "Lower end of the bootstrap interval of the mean.",
    "ci_high": "Upper end of the bootstrap interval of the mean.",
}


@dataclass(frozen=True)
class Evaluation:
    """Scores of all cases, and the cases that could not be compared.

    Parameters
    ----------
    scores : tuple of Score
        In the order of case and segment.
    failures : mapping of str to str
        Case -> reason.
    settings : EvaluateSettings
        What was asked for.
    """

    scores: tuple[Score, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    settings: EvaluateSettings = field(default_factory=EvaluateSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(self.scores))
        object.__setattr__(self, "failures", MappingProxyType(dict(self.failures)))

    @cached_property
    def summary(self) -> tuple[Summary, ...]:
        """Each measure of each segment over the cases, with bootstrap intervals."""
        return summaries(self.scores, self.settings)

    @property
    def unmatched(self) -> tuple[Score, ...]:
        """Segments without a partner."""
        return tuple(s for s in self.scores if s.status.startswith("only_in_"))

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the compared cases."""
        return tuple(dict.fromkeys(s.case for s in self.scores))

    def to_table(self, name: str = "Evaluation") -> Table:
        """Return one row a case and segment; undefined numbers are NaN and have a reason."""
        rows = self.scores
        head: list[tuple[str, str, str, Sequence[Cell]]] = [
            ("case", "", "Name of the case.", [s.case for s in rows]),
            ("segment", "", "Name of the segment in the reference.", [s.segment for s in rows]),
            ("label", "", "Its label value.", [s.label for s in rows]),
            ("predicted_segment", "", "Name of its partner in the prediction.", [s.predicted_name for s in rows]),
            ("matched_by", "", "What the two were matched by.", [s.matched_by for s in rows]),
            ("status", "", "scored, or what is empty or missing.", [s.status for s in rows]),
        ]
        volumes = [
            ("reference_ml", "mL", "Volume of the reference.", [s.reference_ml for s in rows]),
            ("predicted_ml", "mL", "Volume of the prediction.", [s.predicted_ml for s in rows]),
        ]
        tail = [("reason", "", "Why a number is missing.", [s.reason for s in rows])]
        numbers = [(key, *METRICS[key], [_number(getattr(s, key)) for s in rows]) for key in METRICS]
        return _table(name, [*head, *numbers[:-2], *volumes, *numbers[-2:], *tail])

    def summary_table(self, name: str = "Evaluation summary") -> Table:
        """Return one row a segment and measure."""
        rows = self.summary
        columns: list[tuple[str, str, str, Sequence[Cell]]] = [
            ("segment", "", "Name of the segment.", [s.segment for s in rows]),
            ("label", "", "Its label value; 0 for each case's mean over its segments.", [s.label for s in rows]),
            ("metric", "", "Measure.", [s.metric for s in rows]),
            ("unit", "", "UCUM unit of the measure.", [METRICS[s.metric][0] for s in rows]),
            ("cases", "", "Cases with this segment.", [s.cases for s in rows]),
            ("n", "", "Cases for which the measure is defined.", [s.n for s in rows]),
            *((key, "", text, [_number(getattr(s, key)) for s in rows]) for key, text in _SPREAD.items()),
            ("reason", "", "Why there is no interval.", [s.reason for s in rows]),
        ]
        return _table(name, columns)

    def metric_table(self, metric: str = "dice", name: str = "") -> Table:
        """Return one row a segment for one measure, as a plot needs it; segments without a number are left out.

        Raises
        ------
        InputError
            If there is no such measure.
        """
        if metric not in METRICS:
            raise InputError(f"There is no measure {metric!r}.", hint=f"Known: {', '.join(METRICS)}.")
        rows = [s for s in self.summary if s.metric == metric and s.n]
        unit = METRICS[metric][0]
        columns: list[tuple[str, str, str, Sequence[Cell]]] = [
            ("segment", "", "Name of the segment.", [s.segment for s in rows]),
            ("n", "", "Cases for which the measure is defined.", [s.n for s in rows]),
            *((key, unit, text, [_number(getattr(s, key)) for s in rows]) for key, text in _SPREAD.items()),
        ]
        return _table(name or f"Evaluation {metric}", columns)

    def to_csv(self, path: str | Path) -> None:
        """Write :meth:`to_table` atomically as UTF-8 CSV; see :func:`medai.core.csvtext.write_csv`.

        Raises
        ------
        OutputError
            If the file cannot be written; an old file is unchanged then.
        """
        write_csv(self.to_table(), path)

    def summary_to_csv(self, path: str | Path) -> None:
        """Write :meth:`summary_table` as :meth:`to_csv` writes the scores."""
        write_csv(self.summary_table(), path)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; undefined numbers are None."""
        return {
            "schema": SCHEMA,
            "settings": self.settings.to_dict(),
            "scores": [score.to_dict() for score in self.scores],
            "summary": [row.to_dict() for row in self.summary],
            "failed": dict(self.failures),
        }


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _table(name: str, columns: Sequence[tuple[str, str, str, Sequence[Cell]]]) -> Table:
    return Table(name, tuple(Column(key, tuple(values), unit, text) for key, unit, text, values in columns))
