"""What an extraction returns: one value a segment and feature, with unit, code and, if it is undefined, the reason."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from medai.core.csvtext import write_csv
from medai.core.errors import InputError
from medai.core.qc import QCFlag
from medai.core.settings import digest_json
from medai.core.table import Column, Table

SCHEMA = "medai.features/1"


@dataclass(frozen=True)
class FeatureValue:
    """One number.

    Parameters
    ----------
    segment : str
        Name of the segment.
    family, feature : str
        Machine names.
    value : float
        NaN exactly if ``reason`` is given.
    unit : str
        UCUM unit; ``1`` for pure numbers.
    ibsi : str
        Code of the IBSI reference manual, empty if it has none.
    reason : str
        Why there is no value; ``empty`` if the segment has no voxels.

    Raises
    ------
    InputError
        If the value is infinite, or NaN without a reason, or a number with a reason.
    """

    segment: str
    family: str
    feature: str
    value: float
    unit: str
    ibsi: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        value = float(self.value)
        if math.isinf(value) or math.isnan(value) != bool(self.reason):
            raise InputError(f"The feature {self.feature!r} must be finite, or NaN with a reason; given {value}.")
        # Always the same NaN object: tables that hold it compare equal, because tuples compare by identity first.
        object.__setattr__(self, "value", math.nan if self.reason else value)

    @property
    def defined(self) -> bool:
        """True if there is a number."""
        return not self.reason


@dataclass(frozen=True)
class FeatureTable:
    """Every feature of every segment, in the order of measurement.

    Parameters
    ----------
    rows : tuple of FeatureValue
        Each (segment, family, feature) once.
    settings : mapping
        The resolved settings of the extraction, every default written out.
    flags : tuple of QCFlag
        What is doubtful about the image, the labels or the measurement.

    Raises
    ------
    InputError
        If a segment has a feature twice.
    """

    rows: tuple[FeatureValue, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[QCFlag, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "settings", copy.deepcopy(dict(self.settings)))
        object.__setattr__(self, "flags", tuple(self.flags))
        if len(self._index) != len(self.rows):
            raise InputError("A segment has the same feature twice.")

    @cached_property
    def _index(self) -> dict[tuple[str, str], FeatureValue]:
        return {(row.segment, row.feature): row for row in self.rows}

    @property
    def settings_hash(self) -> str:
        """SHA-256 of the settings that change a number; equal hashes mean comparable numbers."""
        return digest_json({key: self.settings.get(key) for key in ("families", "limits")})

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the segments, in the order of measurement."""
        return tuple(dict.fromkeys(row.segment for row in self.rows))

    @property
    def features(self) -> tuple[str, ...]:
        """Machine names of the features, in the order of measurement."""
        return tuple(dict.fromkeys(row.feature for row in self.rows))

    def row(self, segment: str, feature: str) -> FeatureValue:
        """Return one value with its unit, code and reason.

        Raises
        ------
        InputError
            If the table has no such value.
        """
        try:
            return self._index[segment, feature]
        except KeyError:
            raise InputError(
                f"The table has no feature {feature!r} of a segment {segment!r}.",
                hint=f"Segments: {', '.join(self.segments[:10]) or 'none'}.",
            ) from None

    def value(self, segment: str, feature: str) -> float:
        """Return one number, NaN if it is undefined; see :meth:`row`."""
        return self.row(segment, feature).value

    def flags_for(self, segment: str) -> tuple[QCFlag, ...]:
        """Return the flags that concern a segment: those of the image and the segment's own."""
        others = set(self.segments) - {segment}
        return tuple(flag for flag in self.flags if flag.affects not in others)

    def to_table(self, name: str = "Features") -> Table:
        """Return the long form: one row a value; undefined values are NaN and have a reason."""
        flags = {segment: " ".join(dict.fromkeys(f.code for f in self.flags_for(segment))) for segment in self.segments}
        digest = self.settings_hash
        columns: list[tuple[str, str, Sequence[str | float]]] = [
            ("segment", "Name of the segment.", [r.segment for r in self.rows]),
            ("family", "Feature family.", [r.family for r in self.rows]),
            ("feature", "Machine name of the feature.", [r.feature for r in self.rows]),
            ("value", "The number, in the row's unit; NaN if it is undefined.", [r.value for r in self.rows]),
            ("unit", "UCUM unit; 1 for pure numbers.", [r.unit for r in self.rows]),
            ("ibsi", "Code of the IBSI reference manual; empty if it has none.", [r.ibsi for r in self.rows]),
            ("reason", "Why there is no number.", [r.reason for r in self.rows]),
            ("flags", "Quality flags of the image and the segment.", [flags[r.segment] for r in self.rows]),
            ("settings_hash", "SHA-256 of the settings that change a number.", [digest] * len(self.rows)),
        ]
        return Table(name, tuple(Column(n, tuple(values), description=text) for n, text, values in columns))

    def to_csv(self, path: str | Path) -> None:
        """Write the long form atomically as UTF-8 CSV.

        Numbers have as many digits as it takes to read back the same float; undefined ones are empty cells; text that
        a spreadsheet would run as a formula gets an apostrophe in front.

        Raises
        ------
        OutputError
            If the file cannot be written; an old file is unchanged then.
        """
        write_csv(self.to_table(), path)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; undefined numbers are None."""
        rows = [{**asdict(row), "value": row.value if row.defined else None} for row in self.rows]
        return {
            "schema": SCHEMA,
            "settings": copy.deepcopy(dict(self.settings)),
            "settings_hash": self.settings_hash,
            "flags": [flag.to_dict() for flag in self.flags],
            "rows": rows,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FeatureTable:
        """Rebuild a table that :meth:`to_dict` wrote.

        Raises
        ------
        InputError
            If the values are not such a table.
        """
        if data.get("schema") != SCHEMA:
            raise InputError(f"Not a feature table: expected the schema {SCHEMA!r}, given {data.get('schema')!r:.60}.")
        try:
            rows = [
                FeatureValue(**{**row, "value": math.nan if row["value"] is None else row["value"]})
                for row in data["rows"]
            ]
            return cls(tuple(rows), data["settings"], tuple(QCFlag.from_dict(flag) for flag in data["flags"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The feature table cannot be read: {type(error).__name__} in its rows or flags."
            ) from None
