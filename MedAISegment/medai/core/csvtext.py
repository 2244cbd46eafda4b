"""Tables as CSV text that a spreadsheet cannot take for a formula."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from .atomic import write_text
from .table import Cell, Table

USE = "research use only, not for diagnosis"
FORMULA_STARTS = "=+-@|%\t\r\n＝＋－＠"
"""Spreadsheets run a cell that starts with one of these, the full-width forms included."""


def defuse(text: str) -> str:
    """Put an apostrophe in front of text that a spreadsheet would run as a formula.

    Examples
    --------
    >>> defuse("=1+1")
    "'=1+1"
    >>> defuse("Left kidney")
    'Left kidney'
    """
    return "'" + text if text.lstrip(" ").startswith(tuple(FORMULA_STARTS)) else text


def cell_text(cell: Cell) -> str:
    """Return a cell as CSV text: floats by their shortest exact form, NaN and None as nothing, text defused."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return defuse(cell)
    if isinstance(cell, float) and not isinstance(cell, bool):
        return "" if math.isnan(cell) else repr(float(cell))
    return str(cell)


def write_csv(table: Table, path: str | Path) -> None:
    """Write a table atomically as UTF-8 CSV; a last column states the intended use.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*(defuse(column.name) for column in table.columns), "intended_use"])
    for row in range(table.rows):
        writer.writerow([*(cell_text(column.values[row]) for column in table.columns), USE])
    write_text(path, stream.getvalue())
