"""Findings: boxes in voxels and millimetres, JSON and table round trips, masks."""

import csv
import json

import numpy as np
import pytest

from medai.core.csvtext import write_csv
from medai.core.errors import GeometryError, InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.qc import QCFlag, Severity
from medai.segment.detection.result import Detection, Detections

GRID = Geometry.from_spacing((10, 20, 30), (1.0, 2.0, 3.0), (5.0, -7.0, 11.0))


def made(**more):
    return Detection.of(GRID, (2, 4, 6), (5, 8, 7), 0.75, **more)


def test_a_box_of_voxels_has_its_middle_and_lengths_in_mm():
    item = made()
    # Voxels 2..4 along I (1 mm, first centre at 5): middle voxel 3, at 8 mm.
    assert item.centre_ras == pytest.approx((8.0, -7 + 2 * 5.5, 11 + 3 * 6))
    assert item.size_mm == pytest.approx((3, 8, 3))
    assert item.volume_mm3 == pytest.approx(72)
    assert item.diameter_mm == pytest.approx(14 / 3)


def test_an_oblique_grid_keeps_its_axes():
    turned, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    grid = Geometry.from_spacing((8, 8, 8), (1, 2, 3), (0, 0, 0), turned)
    item = Detection.of(grid, (0, 0, 0), (8, 8, 8))
    assert item.centre_ras == pytest.approx(tuple(grid.centre))
    assert np.asarray(item.direction) == pytest.approx(grid.direction)


def test_a_finding_in_a_single_slice_is_measured_in_its_plane():
    flat = Geometry.from_spacing((1, 20, 20), (0.5, 0.5, 9.0))
    item = Detection.of(flat, (2, 4, 0), (6, 10, 1))
    assert item.diameter_mm == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("low", "high", "score", "word"),
    [
        ((0, 0, 0), (0, 1, 1), 0.5, "size"),
        ((0, 0, np.nan), (1, 1, 1), 0.5, "finite"),
        ((0, 0), (1, 1), 0.5, "three"),
        ((0, 0, 0), (1, 1, 1), 1.5, "score"),
    ],
)
def test_an_impossible_box_is_refused(low, high, score, word):
    with pytest.raises(InputError, match=word):
        Detection.of(GRID, low, high, score)


def several():
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[6, 4:8, 2:5] = 2
    masks = LabelMap(array, GRID, (Segment(1, "Finding 1"), Segment(2, "Finding 2")))
    other = Detection.of(GRID, (10, 10, 2), (12, 12, 4), 0.9, name="Nodule", mask_label=1)
    flag = QCFlag("DOMAIN_OOD", Severity.WARNING, "Something is doubtful.")
    return Detections((made(mask_label=2), other), GRID, (flag,), masks, {"model": "x"}, "chest")


def test_the_best_comes_first_and_json_brings_everything_back():
    found = several()
    assert [d.score for d in found.items] == [0.9, 0.75]
    text = json.dumps(found.to_dict(), allow_nan=False)
    again = Detections.from_dict(json.loads(text), found.masks)
    assert again.items == found.items
    assert again.flags == found.flags
    assert again.geometry == found.geometry
    assert (again.name, dict(again.meta)) == ("chest", {"model": "x"})
    assert again.to_labelmap() is found.masks


def test_the_table_brings_the_boxes_back_and_measures_the_masks(tmp_path):
    found = several()
    table = found.to_table()
    assert Detections.from_table(table, GRID, found.masks).items == found.items
    assert table.column("mask_volume").values == pytest.approx((0.0, 12 * 6.0))
    write_csv(table, tmp_path / "f.csv")
    rows = list(csv.DictReader((tmp_path / "f.csv").open(encoding="utf-8")))
    assert float(rows[0]["centre_r"]) == found.items[0].centre_ras[0]
    assert rows[1]["mask_label"] == "2"


def test_no_finding_is_a_result_too():
    none = Detections((), GRID)
    assert none.boxes().shape == (0, 6)
    assert none.to_table().rows == 0
    assert Detections.from_table(none.to_table(), GRID).items == ()
    with pytest.raises(InputError, match="no masks"):
        none.to_labelmap()


def test_masks_must_fit():
    other = LabelMap(np.zeros((3, 3, 3), np.uint8), Geometry.from_spacing((3, 3, 3)))
    with pytest.raises(GeometryError):
        Detections((), GRID, masks=other)
    empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID)
    with pytest.raises(InputError, match="no segment 7"):
        Detections((made(mask_label=7),), GRID, masks=empty)


@pytest.mark.parametrize("change", [{"schema": "x"}, {"findings": [{}]}, {"flags": 3}, {"geometry": {}}])
def test_damaged_json_is_refused(change):
    with pytest.raises((InputError, GeometryError)):
        Detections.from_dict({**several().to_dict(), **change})


def test_a_threshold_keeps_the_better_ones():
    assert [d.name for d in several().above(0.8).items] == ["Nodule"]
