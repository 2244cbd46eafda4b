"""Seeds: positions to voxels, markups files, and seeds for saved pipelines."""

import json

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.segment.seeding import read_markups, segment_of_label
from medai.segment.seeds import Seed, seeds_by_segment, segments_of

GRID = Geometry.from_spacing((5, 6, 7), (0.5, 1.0, 2.0), (10.0, -20.0, 30.0), np.diag([-1.0, -1.0, 1.0]))


def test_positions_become_the_nearest_voxels():
    ras = GRID.to_ras(np.array([3.2, 2.0, 1.4]))
    found = seeds_by_segment([Seed(ras=tuple(float(v) for v in ras), segment="Liver")], GRID)
    assert found == {"Liver": [(1, 2, 3)]}


def test_seeds_of_one_name_are_one_segment_in_order():
    at = lambda i, name: Seed(ras=tuple(float(v) for v in GRID.to_ras(np.array([i, 0, 0]))), segment=name)  # noqa: E731
    found = seeds_by_segment([at(1, "B"), at(2, "A"), at(3, "B"), at(3, "B")], GRID)
    assert found == {"B": [(0, 0, 1), (0, 0, 3)], "A": [(0, 0, 2)]}
    assert [s.label for s in segments_of(list(found))] == [1, 2]
    with pytest.raises(InputError, match="same voxel"):
        seeds_by_segment([at(1, "A"), at(1, "B")], GRID)


def test_no_seed_and_a_seed_outside_are_named():
    with pytest.raises(InputError, match="no seed"):
        seeds_by_segment([], GRID)
    with pytest.raises(InputError, match=r"Seed 1 of 'Liver' at RAS \(500.0, 0.0, 0.0\) mm lies outside"):
        seeds_by_segment([Seed(ras=(500.0, 0.0, 0.0), segment="Liver")], GRID)


@pytest.mark.parametrize(
    ("label", "segment"), [("Liver-1", "Liver"), ("Liver 12", "Liver"), ("F-1", "F"), ("7", "Segment"), ("", "Segment")]
)
def test_a_numbered_label_names_its_segment(label, segment):
    assert segment_of_label(label) == segment


def write(path, **changes):
    points = [
        {"label": "Liver-1", "position": [1.0, -2.0, 3.0], "positionStatus": "defined"},
        {"label": "Liver-2", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"},
    ]
    markups = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": points, **changes}
    path.write_text(json.dumps({"markups": [markups]}), encoding="utf-8")
    return path


def test_slicers_markups_are_read_in_their_coordinate_system(tmp_path):
    assert read_markups(write(tmp_path / "a.mrk.json")) == (Seed(ras=(-1.0, 2.0, 3.0), segment="Liver"),)
    assert read_markups(write(tmp_path / "b.mrk.json", coordinateSystem="RAS"))[0].ras == (1.0, -2.0, 3.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controlPoints": []}, "no placed point"),
        ({"coordinateSystem": "XYZ"}, "coordinate system"),
        ({"controlPoints": [{"label": "a", "position": [1, 2]}]}, "point 1"),
        ({"controlPoints": [{"label": "a", "position": [1, 2, "3"]}]}, "point 1"),
        ({"controlPoints": [{"label": "a", "position": [10**400, 2, 3]}]}, "point 1"),
        ({"controlPoints": None}, "no list"),
        ({"controlPoints": 3}, "no list"),
    ],
)
def test_markups_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_markups(write(tmp_path / "a.mrk.json", **changes))


@pytest.mark.parametrize("label", [None, 7, ["x"]])
def test_a_label_that_is_no_text_names_nothing(tmp_path, label):
    found = read_markups(write(tmp_path / "a.mrk.json", controlPoints=[{"label": label, "position": [1, 2, 3]}]))
    assert [seed.segment for seed in found] == ["Segment"]


def test_other_json_is_no_markups_file(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(InputError, match="no Slicer markups file"):
        read_markups(path)
    with pytest.raises(SettingsError):
        read_markups(tmp_path / "missing.mrk.json")
