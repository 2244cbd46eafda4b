"""An immutable table with typed, described columns; what MRML tables, CSV files and reports are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

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
        Numpy scalars become Python values, and whole numbers among real ones become ``float``.
    unit : str
        UCUM unit, empty for text and pure numbers.
    description : str
        One sentence for people.

    Raises
    ------
    InputError
        If kinds are mixed, a cell among numbers is empty, or a value is of another type.
    """

    name: str
    values: tuple[Cell, ...]
    unit: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _cells(self.name, self.values))

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
        If lengths differ or a name repeats.
    """

    name: str
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise InputError(f"The table {self.name!r} has two columns of the same name.")
        if len({len(c.values) for c in self.columns}) > 1:
            raise InputError(f"The columns of the table {self.name!r} differ in length.")

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
        """Build a table from rows.

        Parameters
        ----------
        name : str
            The table's name.
        names : sequence of str
            Names of the columns.
        rows : sequence of sequences
            One cell per column each.

        Raises
        ------
        InputError
            If a row has another number of cells.
        """
        for number, row in enumerate(rows):
            if len(row) != len(names):
                raise InputError(f"Row {number} of the table {name!r} has {len(row)} cells, expected {len(names)}.")
        return cls(name, tuple(Column(n, tuple(row[i] for row in rows)) for i, n in enumerate(names)))


def _cells(name: str, values: Iterable[Cell]) -> tuple[Cell, ...]:
    cells = tuple(v.item() if isinstance(v, np.generic) else v for v in values)
    kinds = {type(v) for v in cells if v is not None}
    if not kinds <= {str, bool, int, float}:
        raise InputError(f"The column {name!r} holds {sorted(k.__name__ for k in kinds)}; text and numbers are needed.")
    if len(kinds) > 1 and kinds != {int, float}:
        raise InputError(f"The column {name!r} mixes {' and '.join(sorted(k.__name__ for k in kinds))} values.")
    if kinds and kinds != {str} and None in cells:
        raise InputError(f"The column {name!r} has an empty cell among numbers; use NaN.")
    return tuple(float(v) for v in cells if v is not None) if kinds == {int, float} else cells
