"""An immutable table with typed, described columns; what MRML tables, CSV files and reports are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import InputError

Cell = str | float | int | bool | None


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    name : str
        Machine name, unique in its table.
    values : tuple
        All ``str``, all ``bool``, all ``int`` or all ``float`` (NaN for "undefined"); text columns may hold ``None``.
    unit : str
        UCUM unit, empty for text and pure numbers.
    description : str
        One sentence for people.
    """

    name: str
    values: tuple[Cell, ...]
    unit: str = ""
    description: str = ""

    @property
    def kind(self) -> str:
        """``float``, ``int``, ``bool`` or ``str``; an empty column counts as ``str``."""
        kinds = {type(v) for v in self.values if v is not None}
        if not kinds or str in kinds:
            return "str"
        if kinds == {bool}:
            return "bool"
        return "int" if kinds == {int} else "float"


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Raises
    ------
    InputError
        If lengths differ, a name repeats, or a column mixes text with numbers.
    """

    name: str
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise InputError(f"The table {self.name!r} has two columns of the same name.")
        if len({len(c.values) for c in self.columns}) > 1:
            raise InputError(f"The columns of the table {self.name!r} differ in length.")
        for column in self.columns:
            kinds = {type(v) for v in column.values if v is not None}
            if str in kinds and len(kinds) > 1:
                raise InputError(f"The column {column.name!r} mixes text with numbers.")
            if None in column.values and column.kind != "str":
                raise InputError(f"The column {column.name!r} has an empty cell among numbers; use NaN.")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    def column(self, name: str) -> Column:
        """Return the column called ``name``; raises :class:`InputError` if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InputError(f"The table {self.name!r} has no column {name!r}.")

    @classmethod
    def from_rows(cls, name: str, names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
        """Build a table from rows of equal length."""
        return cls(name, tuple(Column(n, tuple(row[i] for row in rows)) for i, n in enumerate(names)))
