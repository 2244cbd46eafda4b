"""What measuring a model gave: all of it as one value, and as one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from medai.core.errors import InputError

from .outside_row import OutsideRow
from .rows import Row
from .settings import MeasureSettings
from .summary import LabelSummary, summarise

SCHEMA = "medai.assessment/1"
FILE = "assessment.json"
MAX_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A model measured on cases.

    Parameters
    ----------
    model : mapping
        ``id``, ``title``, ``version``, ``weights_sha256``.
    data : mapping
        ``name`` of the data set, ``chosen`` (which cases: ``held-back``, ``all``, or a list's name), ``cases`` and
        ``subjects`` (how many), ``seen_in_training`` (cases with which the model was trained; None if unknown).
    settings : MeasureSettings
        How it ran.
    rows : tuple of Row
        By case and label.
    outside : tuple of OutsideRow
        What the model did with images that it is not made for.
    worst : mapping
        Label name -> list of ``case`` and ``picture`` (name of a file beside this one, empty if none was drawn).
    commands : tuple of str
        The commands that give these numbers.
    software : mapping
        Name -> version of what computed them.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    settings: MeasureSettings
    rows: tuple[Row, ...]
    outside: tuple[OutsideRow, ...] = ()
    worst: Mapping[str, list[dict[str, str]]] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def summary(self) -> tuple[LabelSummary, ...]:
        """Each label over the cases; always computed from the rows."""
        return summarise(self.rows, self.settings)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the cases."""
        return tuple(dict.fromkeys(row.case for row in self.rows))

    @property
    def failures(self) -> dict[str, str]:
        """Case -> reason of each case without a result."""
        return {row.case: row.reason for row in self.rows if row.status == "failed"}

    def replace(self, **changes: Any) -> Assessment:
        """Return a copy with other fields."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; undefined numbers are None."""
        return {
            "schema": SCHEMA,
            "research_use_only": True,
            "model": dict(self.model),
            "data": dict(self.data),
            "settings": self.settings.to_dict(),
            "rows": [row.to_dict() for row in self.rows],
            "summary": [label.to_dict() for label in self.summary],
            "outside": [row.to_dict() for row in self.outside],
            "worst": {name: [dict(item) for item in items] for name, items in self.worst.items()},
            "commands": list(self.commands),
            "software": dict(self.software),
        }

    @classmethod
    def from_dict(cls, data: Any, *, where: str = FILE) -> Assessment:
        """Rebuild an assessment that :meth:`to_dict` wrote; its summary is computed anew.

        Raises
        ------
        InputError
            If it is something else.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise InputError(f"{where} is no assessment of a model.", hint="'medai models measure' writes one.")
        try:
            return cls(
                model=data["model"],
                data=data["data"],
                settings=MeasureSettings.parse(data["settings"], where=where),
                rows=tuple(Row.from_dict(row) for row in data["rows"]),
                outside=tuple(OutsideRow.from_dict(row) for row in data["outside"]),
                worst=data["worst"],
                commands=tuple(data["commands"]),
                software=data["software"],
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"{where} is damaged: {type(error).__name__}.", hint="Measure the model again.") from None

    @classmethod
    def read(cls, path: str | Path) -> Assessment:
        """Read ``assessment.json``.

        Raises
        ------
        InputError
            If it is missing or something else.
        """
        file = Path(path)
        hint = "'medai models measure' writes such a file."
        try:
            if file.stat().st_size > MAX_BYTES:
                raise InputError(f"{file.name!r} is larger than {MAX_BYTES} bytes.", hint=hint)
            value = json.loads(file.read_text("utf-8"))
        except OSError as error:
            raise InputError(f"{file.name!r} cannot be read: {error.strerror}.", hint=hint) from None
        except (ValueError, RecursionError):
            raise InputError(f"{file.name!r} is no JSON text.", hint=hint) from None
        return cls.from_dict(value, where=file.name)


def metrics_of(assessment: Assessment) -> dict[str, Any]:
    """Return what a manifest's ``metrics`` says, from an assessment.

    Returns
    -------
    dict
        ``labels`` (name -> ``cases`` and the spread of Dice, HD95 and volume error), ``mean_dice`` over the labels,
        ``cases``, ``on``; rounded to 4 decimals.
    """
    labels: dict[str, Any] = {}
    keys = ("n", "mean", "sd", "median", "minimum", "maximum", "ci_low", "ci_high")
    for item in assessment.summary:
        if not item.label:
            continue
        labels[item.name] = {"cases": item.cases}
        for measure in ("dice", "hd95_mm", "assd_mm", "volume_error_percent"):
            labels[item.name][measure] = {key: _short(getattr(item.measures[measure], key)) for key in keys}
    means = [row["dice"]["mean"] for row in labels.values() if row["dice"]["mean"] is not None]
    chosen = assessment.data["chosen"]
    return {
        "labels": labels,
        "mean_dice": round(sum(means) / len(means), 4) if means else 0.0,
        "cases": len(assessment.cases),
        "on": "held-back cases" if chosen == "held-back" else f"{chosen} cases",
    }


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
