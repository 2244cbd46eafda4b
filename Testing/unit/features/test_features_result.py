"""The feature table: look-up, long form, CSV, round trip, hash."""

from __future__ import annotations

import csv
import errno
import json
import math
from pathlib import Path

import pytest

from medai.core.csvtext import defuse
from medai.core.errors import InputError, OutputError
from medai.core.qc import QCFlag, Severity
from medai.core.settings import load_json
from medai.features import FeatureTable, FeatureValue


@pytest.fixture
def table() -> FeatureTable:
    rows = (
        FeatureValue("Liver", "shape", "voxel_volume", 0.1 + 0.2, "mm3", "YEKZ"),
        FeatureValue("Liver", "first_order", "mean", -5e-324, "[hnsf'U]", "Q4LE"),
        FeatureValue("=cmd|' /C calc'!A0", "shape", "voxel_volume", math.nan, "mm3", "YEKZ", "empty"),
        FeatureValue("=cmd|' /C calc'!A0", "first_order", "mean", math.nan, "[hnsf'U]", "Q4LE", "empty"),
    )
    flags = (
        QCFlag("INT_NAN", Severity.WARNING, "NaN"),
        QCFlag("MASK_EMPTY", Severity.WARNING, "empty", affects="=cmd|' /C calc'!A0"),
    )
    return FeatureTable(rows, {"families": {"shape": {}}, "limits": {}, "segments": None}, flags)


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_look_up(table: FeatureTable) -> None:
    assert table.value("Liver", "voxel_volume") == 0.1 + 0.2
    assert table.row("Liver", "mean").unit == "[hnsf'U]"
    assert table.segments == ("Liver", "=cmd|' /C calc'!A0")
    assert table.features == ("voxel_volume", "mean")
    with pytest.raises(InputError, match="'spleen'"):
        table.value("spleen", "mean")
    with pytest.raises(InputError, match="'colour'"):
        table.value("Liver", "colour")


def test_flags_belong_to_the_image_or_a_segment(table: FeatureTable) -> None:
    assert [f.code for f in table.flags_for("Liver")] == ["INT_NAN"]
    assert [f.code for f in table.flags_for("=cmd|' /C calc'!A0")] == ["INT_NAN", "MASK_EMPTY"]


def test_long_form(table: FeatureTable) -> None:
    long = table.to_table()
    assert [c.name for c in long.columns] == [
        "segment", "family", "feature", "value", "unit", "ibsi", "reason", "flags", "settings_hash",
    ]  # fmt: skip
    assert long.rows == 4
    assert long.column("value").kind == "float"
    assert long.column("reason").kind == "str"
    assert long.column("flags").values[-1] == "INT_NAN MASK_EMPTY"
    assert all(column.description for column in long.columns)


def test_csv_reads_back_exactly(table: FeatureTable, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "features.csv")
    rows = read(tmp_path / "features.csv")
    assert len(rows) == 4
    assert float(rows[0]["value"]) == 0.1 + 0.2
    assert rows[0]["value"] == "0.30000000000000004"
    assert rows[1]["value"] == "-5e-324"
    assert rows[2]["value"] == ""
    assert rows[2]["reason"] == "empty"
    assert {row["settings_hash"] for row in rows} == {table.settings_hash}
    assert {row["intended_use"] for row in rows} == {"research use only, not for diagnosis"}


def test_csv_text_cannot_become_a_formula(table: FeatureTable, tmp_path: Path) -> None:
    """Row 34: text is defused, numbers are not touched (a leading minus stays)."""
    table.to_csv(tmp_path / "features.csv")
    rows = read(tmp_path / "features.csv")
    assert rows[2]["segment"] == "'=cmd|' /C calc'!A0"
    assert rows[0]["segment"] == "Liver"
    assert rows[1]["value"].startswith("-")
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "|calc"])
def test_defuse(text: str) -> None:
    assert defuse(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Liver", "left-right", "a=b", "[hnsf'U]", "1"])
def test_harmless_text_stays(text: str) -> None:
    assert defuse(text) == text


def test_a_name_with_a_quote_comma_and_line_break_stays_one_cell(tmp_path: Path) -> None:
    name = 'a "b", c\nd é 日本'
    FeatureTable((FeatureValue(name, "shape", "sphericity", 1.0, "1"),)).to_csv(tmp_path / "f.csv")
    assert read(tmp_path / "f.csv")[0]["segment"] == name


def test_a_failed_write_leaves_the_old_file(
    table: FeatureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "features.csv"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match="disk is full"):
        table.to_csv(target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["features.csv"]
    with pytest.raises(OutputError):
        table.to_csv(tmp_path / "missing" / "features.csv")


def test_dict_round_trip(table: FeatureTable) -> None:
    text = json.dumps(table.to_dict(), allow_nan=False)
    again = FeatureTable.from_dict(load_json(text))
    assert again == table
    assert again.settings_hash == table.settings_hash
    assert math.isnan(again.value("=cmd|' /C calc'!A0", "mean"))


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "medai.features/99"},
        {"rows": [{"segment": "a"}]},
        {"rows": [{"value": None}]},
        {"rows": None},
        {"flags": [{"code": "NO_SUCH", "severity": "info", "message": ""}]},
    ],
)
def test_refuses_another_dict(table: FeatureTable, change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        FeatureTable.from_dict({**table.to_dict(), **change})


def test_the_dict_is_a_copy(table: FeatureTable) -> None:
    data = table.to_dict()
    data["settings"]["families"]["shape"]["x"] = 1
    data["rows"].clear()
    assert table.settings["families"] == {"shape": {}}
    assert len(table.rows) == 4


def test_hash_counts_what_changes_a_number(table: FeatureTable) -> None:
    rows = table.rows
    base = {"families": {"shape": {}}, "limits": {}}
    assert FeatureTable(rows, base).settings_hash == table.settings_hash
    assert FeatureTable(rows, {**base, "segments": ["Liver"]}).settings_hash == table.settings_hash
    assert FeatureTable(rows, {**base, "limits": {"lower": 0.0}}).settings_hash != table.settings_hash
    assert FeatureTable(rows, {**base, "families": {}}).settings_hash != table.settings_hash


@pytest.mark.parametrize(("value", "reason"), [(math.inf, ""), (-math.inf, "x"), (math.nan, ""), (1.0, "undefined")])
def test_a_value_is_finite_or_has_a_reason(value: float, reason: str) -> None:
    with pytest.raises(InputError):
        FeatureValue("a", "shape", "b", value, "1", "", reason)


def test_refuses_a_repeated_value() -> None:
    row = FeatureValue("a", "shape", "b", 1.0, "1")
    with pytest.raises(InputError, match="twice"):
        FeatureTable((row, row))
