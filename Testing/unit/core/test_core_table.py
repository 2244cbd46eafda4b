"""medai.core.table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.table import Column, Table


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        (("a", "b"), "str", ("a", "b")),
        (("a", None), "str", ("a", None)),
        ((None, None), "str", (None, None)),
        ((), "str", ()),
        ((True, False), "bool", (True, False)),
        ((1, 2), "int", (1, 2)),
        ((1, 2.5), "float", (1.0, 2.5)),
        ((np.int16(1), np.uint64(2)), "int", (1, 2)),
        ((np.float32(0.5), 1), "float", (0.5, 1.0)),
        ((np.str_("a"),), "str", ("a",)),
        ((np.bool_(True),), "bool", (True,)),
        ([1.0, 2.0], "float", (1.0, 2.0)),
    ],
)
def test_a_column_has_one_kind_of_plain_value(values: Any, kind: str, kept: tuple[Any, ...]) -> None:
    column = Column("c", values)
    assert column.kind == kind
    assert column.values == kept
    assert [type(v) for v in column.values] == [type(v) for v in kept]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("a", 1), "mixes int and str"),
        (("a", 1.0), "mixes float and str"),
        ((True, 1), "mixes bool and int"),
        ((True, 1.0), "mixes bool and float"),
        ((1.0, None), "empty cell among numbers; use NaN"),
        ((True, None), "empty cell"),
        (([1],), "holds .'list'."),
        ((1 + 2j,), "holds .'complex'."),
        ((b"a",), "holds .'bytes'."),
    ],
)
def test_a_column_of_mixed_or_other_values_is_refused(values: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Column("c", values)


def test_not_a_number_is_a_value() -> None:
    column = Column("c", (1.0, math.nan))
    assert column.kind == "float"
    assert math.isnan(column.values[1])  # type: ignore[arg-type]


def test_columns_must_fit() -> None:
    with pytest.raises(InputError, match="two columns of the same name"):
        Table("t", (Column("a", (1,)), Column("a", (2,))))
    with pytest.raises(InputError, match="differ in length"):
        Table("t", (Column("a", (1,)), Column("b", (1, 2))))


def test_rows_and_lookup() -> None:
    table = Table.from_rows("t", ["name", "ml"], [["left", 2.5], ["right", 3]])
    assert table.rows == 2
    assert table.column("ml").values == (2.5, 3.0)
    assert Table("empty", ()).rows == 0
    assert Table.from_rows("none", ["a"], []).rows == 0
    with pytest.raises(InputError, match="no column 'cm'"):
        table.column("cm")


@pytest.mark.parametrize("row", [["left"], ["left", 1.0, 2.0], []])
def test_a_row_of_another_length_is_refused(row: list[Any]) -> None:
    with pytest.raises(InputError, match=f"Row 1 of the table 't' has {len(row)} cells, expected 2"):
        Table.from_rows("t", ["name", "ml"], [["right", 2.0], row])
