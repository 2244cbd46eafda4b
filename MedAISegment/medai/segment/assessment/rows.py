"""One case and one label: what was found, and where it is kept so that a stopped run can go on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from medai.core.errors import OutputError
from medai.core.table import Cell, Column, Table

from ..evaluation.score import Score

Status = Literal["ok", "empty", "failed"]
NUMBERS = {
    "dice": ("1", "Dice similarity coefficient: 2 TP / (2 TP + FP + FN); 0 if one of the two is empty."),
    "hd95_mm": ("mm", "The larger of the two directed 95th percentiles of distances between the surfaces."),
    "assd_mm": ("mm", "Mean of all distances between the surfaces, both directions together."),
    "reference_ml": ("mL", "Volume of the reference."),
    "predicted_ml": ("mL", "Volume of what the model found."),
    "volume_error_ml": ("mL", "Found minus reference volume."),
    "volume_error_percent": ("%", "100 (found - reference) / reference."),
}
"""Measure -> (UCUM unit, description)."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One label of one case.

    Parameters
    ----------
    case, subject : str
        Which case, and whose.
    label, name : int, str
        The model's label.
    status : {"ok", "empty", "failed"}
        ``empty``: the reference, the model's result or both have no voxel of the label; ``failed``: there is no
        result.  ``reason`` says which, or why.
    dice, hd95_mm, assd_mm : float or None
        As in :class:`medai.segment.evaluation.score.Score`; None where undefined.
    reference_ml, predicted_ml : float or None
        Volumes in mL; None if the case failed.
    volume_error_ml, volume_error_percent : float or None
        Found minus reference, and that over the reference.
    flags : tuple of str
        Codes of the case's quality flags of severity warning or error, sorted.
    """

    case: str
    subject: str
    label: int
    name: str
    status: Status
    reason: str = ""
    dice: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    reference_ml: float | None = None
    predicted_ml: float | None = None
    volume_error_ml: float | None = None
    volume_error_percent: float | None = None
    flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, score: Score, *, subject: str, name: str, flags: Sequence[str]) -> Row:
        """Return the row of a score."""
        numbers = {key: getattr(score, key) for key in NUMBERS}
        status: Status = "ok" if score.status == "scored" else "empty"
        return cls(
            case=score.case, subject=subject, label=score.label, name=name, status=status, reason=score.reason,
            flags=tuple(flags), **numbers,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-ready values."""
        return {**asdict(self), "flags": list(self.flags)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Row:
        """Rebuild a row that :meth:`to_dict` wrote."""
        return cls(**{**data, "flags": tuple(data["flags"])})


def table(rows: Iterable[Row], name: str = "Cases") -> Table:
    """Return the rows as a table; undefined numbers are NaN."""
    found = list(rows)

    def values(key: str) -> list[Cell]:
        return [math.nan if getattr(r, key) is None else float(getattr(r, key)) for r in found]

    columns = [
        Column("case", tuple(r.case for r in found), "", "Name of the case."),
        Column("subject", tuple(r.subject for r in found), "", "Whose it is; intervals draw subjects."),
        Column("label", tuple(r.label for r in found), "", "Label value."),
        Column("name", tuple(r.name for r in found), "", "Name of the label."),
        Column("status", tuple(r.status for r in found), "", "ok, empty or failed."),
        *(Column(key, tuple(values(key)), unit, text) for key, (unit, text) in NUMBERS.items()),
        Column("flags", tuple(" ".join(r.flags) for r in found), "", "Quality flags of the case."),
        Column("reason", tuple(r.reason for r in found), "", "Why a number is missing."),
    ]
    return Table(name, tuple(columns))


class RowFile:
    """A file with one line of JSON for each finished case; lines are added and reach the disk one by one.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, list[Row]]:
        """Return key -> rows of each finished case; a line that a kill cut off is passed over."""
        found: dict[str, list[Row]] = {}
        try:
            text = self.path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return found
        except OSError as error:
            raise OutputError(f"Cannot read {self.path.name!r}: {error.strerror}.") from error
        for line in text.split("\n"):
            try:
                value = json.loads(line)
                found[value["key"]] = [Row.from_dict(row) for row in value["rows"]]
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def add(self, key: str, rows: Sequence[Row]) -> None:
        """Append a finished case.

        Raises
        ------
        OutputError
            If it cannot be written; the lines before it stay.
        """
        line = json.dumps({"key": key, "rows": [row.to_dict() for row in rows]}, allow_nan=False, sort_keys=True)
        try:
            with open(self.path, "ab+") as stream:
                # After a kill in the middle of a line the new one must not be glued to the old one's rest.
                end = stream.seek(0, os.SEEK_END)
                cut = False
                if end:
                    stream.seek(end - 1)
                    cut = stream.read(1) != b"\n"
                stream.write(b"\n" * cut + line.encode("utf-8") + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.path.name!r}: {error.strerror}.", hint="The cases that are finished are kept."
            ) from error
