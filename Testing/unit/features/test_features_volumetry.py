"""Derived volumes: sums, shares and asymmetry by hand; reasons where a part is missing."""

from __future__ import annotations

import csv
import math
from typing import Any

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.features import FeatureTable, extract
from medai.features.volumetry import FAMILY, Derived, add_derived, derive

SETTINGS = {
    "totals": [
        {"name": "Left organ", "segments": ["Left front", "Left back"]},
        {"name": "Right organ", "segments": ["Right front"]},
        {"name": "Organ", "segments": ["Left front", "Left back", "Right front"]},
        {"name": "All", "segments": ["Left front", "Left back", "Right front", "Around"]},
    ],
    "pairs": [{"name": "Organ", "left": "Left organ", "right": "Right organ"}],
    "reference": "All",
}
NAMES = ("Left front", "Left back", "Right front", "Around")


def labels_of(counts: tuple[int, ...], names: tuple[str, ...] = NAMES) -> LabelMap:
    """Segments of so many voxels of 2 x 2 x 2.5 mm = 0.01 mL."""
    array = np.zeros(1000, np.uint8)
    array[: sum(counts)] = np.repeat(np.arange(1, len(counts) + 1), counts)
    grid = Geometry.from_spacing((10, 10, 10), (2.0, 2.0, 2.5))
    return LabelMap(array.reshape(10, 10, 10), grid, tuple(Segment(n, name) for n, name in enumerate(names, start=1)))


def found(labels: LabelMap, settings: dict[str, Any] = SETTINGS, **more: Any) -> dict[tuple[str, str], Any]:
    return {(row.segment, row.feature): row for row in derive(labels, Derived.parse(settings), **more)}


def test_sums_shares_and_asymmetry_by_hand() -> None:
    rows = found(labels_of((60, 40, 50, 350)))
    values = {key: row.value for key, row in rows.items()}
    assert values == pytest.approx({
        ("Left organ", "total_volume"): 1.0,
        ("Left organ", "share_of_reference"): 200.0,
        ("Right organ", "total_volume"): 0.5,
        ("Right organ", "share_of_reference"): 100.0,
        ("Organ", "total_volume"): 1.5,
        ("Organ", "share_of_reference"): 300.0,
        ("All", "total_volume"): 5.0,
        ("Organ", "asymmetry_index"): 100 * 0.5 / 0.75,
    })  # fmt: skip
    assert {row.unit for row in rows.values()} == {"mL", "[ppth]", "%"}
    assert {row.family for row in rows.values()} == {FAMILY}


def test_mirroring_changes_the_sign_of_the_asymmetry_only() -> None:
    plain = found(labels_of((60, 40, 50, 350)))
    swapped = labels_of((50, 60, 40, 350), ("Right front", "Left front", "Left back", "Around"))
    settings = {
        **SETTINGS,
        "totals": [
            {"name": "Left organ", "segments": ["Right front"]},
            {"name": "Right organ", "segments": ["Left front", "Left back"]},
            *SETTINGS["totals"][2:],
        ],
    }
    mirrored = found(swapped, settings)
    assert mirrored["Organ", "asymmetry_index"].value == -plain["Organ", "asymmetry_index"].value
    assert mirrored["Organ", "total_volume"].value == plain["Organ", "total_volume"].value


def test_a_missing_part_makes_what_needs_it_undefined_with_the_reason() -> None:
    rows = found(labels_of((60, 40, 50), NAMES[:3]), reasons={"Around": "no model for it"})
    assert rows["Left organ", "total_volume"].value == pytest.approx(1.0)
    assert rows["Organ", "asymmetry_index"].defined
    assert math.isnan(rows["All", "total_volume"].value)
    assert rows["All", "total_volume"].reason == "no model for it"
    assert rows["Left organ", "share_of_reference"].reason == "no All: no model for it"
    assert found(labels_of((60, 40, 50), NAMES[:3]))["All", "total_volume"].reason == "there is no segment Around"


def test_an_empty_part_makes_what_needs_it_undefined() -> None:
    rows = found(labels_of((60, 0, 50, 350)))
    assert rows["Left organ", "total_volume"].reason == "no voxels in Left back"
    assert rows["Organ", "asymmetry_index"].reason == "no voxels in Left back"
    assert rows["Right organ", "total_volume"].value == pytest.approx(0.5)
    assert not rows["Right organ", "share_of_reference"].defined


def test_the_rows_join_the_feature_table_and_its_file(tmp_path: Any) -> None:
    labels = labels_of((60, 40, 50, 350))
    volume = Volume(np.arange(1000, dtype=np.float32).reshape(10, 10, 10), labels.geometry)
    table = extract(volume, labels, {"families": {"shape": {}}})
    more = add_derived(table, labels, Derived.parse(SETTINGS))
    assert more.rows[: len(table.rows)] == table.rows
    assert more.value("Left organ", "total_volume") == pytest.approx(
        (table.value("Left front", "voxel_volume") + table.value("Left back", "voxel_volume")) / 1000
    )
    assert more.settings_hash == table.settings_hash
    assert FeatureTable.from_dict(more.to_dict()) == more
    more.to_csv(tmp_path / "features.csv")
    with open(tmp_path / "features.csv", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["family"] == "volumetry"]
    assert [row["segment"] for row in rows][:3] == ["Left organ", "Left organ", "Right organ"]
    assert float(rows[0]["value"]) == pytest.approx(1.0)
    assert add_derived(table, labels, Derived()) is table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "Nowhere"}, "no total called 'Nowhere'"),
        ({"pairs": [{"name": "P", "left": "Organ", "right": "Organ"}]}, "left and right of 'P' are the same"),
        ({"totals": [*SETTINGS["totals"], SETTINGS["totals"][0]]}, "two totals have the same name"),
        ({"totals": [{"name": "A", "segments": ["x", "x"]}], "pairs": [], "reference": ""}, "summed twice"),
        ({"pairs": [*SETTINGS["pairs"], {"name": "Q", "left": "All", "right": "Left organ"}]}, "in two pairs"),
        ({"totals": [{"name": "A", "segments": []}]}, "totals"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Derived.parse({**SETTINGS, **change})
