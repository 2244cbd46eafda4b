"""Regions from segments: sides in every storage order and in mirrors; what cannot be a left and a right is flagged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("scipy")

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.qc import Severity
from medai.core.resample import reorient_array
from medai.segment.inference.locator import has_segments, regions_from, unions
from medai.segment.inference.sides import place_of
from medai.segment.manifest import Manifest

ORDERS = [
    "".join(letters) for pairs in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*pairs)
]
HINT = {
    "model": "whole-head",
    "labels": {"left": "Left organ", "right": "Right organ"},
    "inside": ["Around", "Left organ", "Right organ"],
    "volume_ml": [1.0, 8.0],
    "distance_mm": [35.0, 75.0],
}
SEGMENTS = (Segment(1, "Around"), Segment(2, "Left organ"), Segment(3, "Right organ"))
LEFT, RIGHT = (-26.0, -22.0, -10.0), (28.0, -20.0, -12.0)


@pytest.fixture
def model(engine_manifest):
    """A model of the left organ, which lies in front of and above the middle of its box."""
    plain = engine_manifest().to_dict()
    region = {"size_mm": [40, 56, 40], "centroid": [0.4, 0.5, 0.4], "locator": HINT}
    return Manifest.parse({**plain, "description": {**plain["description"], "side": "left"}, "region": region})


def head(left=LEFT, right=RIGHT, around=(-60, 60), specks=(), radius=9.0):
    """A label map of 2 mm voxels: a block, two balls in it, and single voxels of the left ball's label."""
    shape = (50, 60, 70)
    grid = Geometry.from_spacing(shape, (2.0, 2.0, 2.0), (-70.0, -70.0, -50.0))
    ras = grid.to_ras(np.indices(shape)[::-1].reshape(3, -1).T).reshape(*shape, 3)
    inside = (ras[..., 0] >= around[0]) & (ras[..., 0] <= around[1]) & (np.abs(ras[..., 1:]).max(axis=-1) <= 40)
    array = inside.astype(np.uint8)
    for label, centre in ((2, left), (3, right)):
        if centre is not None:
            array[np.linalg.norm(ras - centre, axis=-1) < radius] = label
    for speck in specks:
        i, j, k = np.rint(grid.to_ijk(speck)).astype(int)
        array[k, j, i] = 2
    return LabelMap(array, grid, SEGMENTS)


def stored(labels, order):
    array, grid = reorient_array(labels.array, labels.geometry, order)
    return LabelMap(np.ascontiguousarray(array), grid, labels.segments)


def look(labels, model):
    return regions_from(labels, model, cancel=CancelToken())


def codes(found):
    return [flag.code for flag in found.flags]


def test_the_boxes_hold_the_structures_where_the_training_crops_did(model):
    found = look(head(), model)
    assert codes(found) == []
    left, right = found.regions
    assert (left.side, right.side) == ("left", "right")
    # The box's centre is (0.5 - share) * size away from the centroid; along R mirrored on the right.
    np.testing.assert_allclose(left.centre_ras, np.add(LEFT, (4.0, 0.0, 4.0)), atol=0.5)
    np.testing.assert_allclose(right.centre_ras, np.add(RIGHT, (-4.0, 0.0, 4.0)), atol=0.5)
    assert found.missing == ()
    assert found.facts["distance_mm"] == pytest.approx(np.linalg.norm(np.subtract(LEFT, RIGHT)), abs=1)
    assert found.facts["inside_share"]["left"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("order", ORDERS)
def test_the_sides_do_not_depend_on_how_the_labels_are_stored(model, order):
    expected = look(head(), model)
    found = look(stored(head(), order), model)
    assert [r.side for r in found.regions] == ["left", "right"]
    for a, b in zip(found.regions, expected.regions, strict=True):
        np.testing.assert_allclose(a.centre_ras, b.centre_ras, atol=1e-9)
    assert codes(found) == []


def test_a_mirrored_head_whose_names_are_mirrored_too_is_plausible(model):
    plain = look(head(), model)
    mirror = look(head(left=(-RIGHT[0], *RIGHT[1:]), right=(-LEFT[0], *LEFT[1:])), model)
    assert codes(mirror) == []
    np.testing.assert_allclose(mirror.regions[0].centre_ras[0], -plain.regions[1].centre_ras[0], atol=0.5)


def test_the_largest_part_counts(model):
    plain, speckled = look(head(), model), look(head(specks=[(-40, 30, 20), (50, 30, -30)]), model)
    assert speckled.regions == plain.regions
    found = place_of(head(specks=[(-40, 30, 20)]), SEGMENTS[1])
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * 0.9**3, rel=0.1)
    assert place_of(head(left=None), SEGMENTS[1]) is None


def test_swapped_names_are_flagged(model):
    found = look(head(left=RIGHT, right=LEFT), model)
    assert codes(found) == ["SIDES_IMPLAUSIBLE"]
    (flag,) = found.flags
    assert flag.severity is Severity.ERROR
    assert flag.measured > 170


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"left": (-8, -20, -10), "right": (12, -20, -10)}, "20 mm apart"),
        ({"left": (-48, -20, -10), "right": (48, -20, -10)}, "96 mm apart"),
        ({"left": (-20, -20, -30), "right": (20, -20, 30)}, "tilted by 56"),
        ({"around": (-10, 60)}, "Left organ does not lie inside"),
        ({"around": (-60, -8), "right": (16, -22, -10)}, "one side"),
    ],
)
def test_what_cannot_be_a_left_and_a_right_is_flagged(model, change, reason):
    found = look(head(**change), model)
    assert set(codes(found)) == {"SIDES_IMPLAUSIBLE"}
    assert any(reason in flag.message for flag in found.flags)
    assert len(found.regions) == 2


def test_a_missing_side_is_told_and_the_other_is_kept(model):
    found = look(head(right=None), model)
    assert [region.side for region in found.regions] == ["left"]
    assert found.missing == ("right",)
    assert [(f.code, f.severity, f.affects) for f in found.flags] == [
        ("FOV_ORGAN_ABSENT", Severity.ERROR, "Right organ")
    ]


def test_too_little_is_not_the_structure_and_too_much_is_flagged(model):
    small = look(head(radius=4.0), model)
    assert small.regions == ()
    assert codes(small) == ["FOV_ORGAN_ABSENT"] * 2
    large = look(head(radius=14.0), model)
    assert len(large.regions) == 2
    assert codes(large) == ["FOV_ORGAN_ABSENT"] * 2


def test_a_structure_that_the_image_cuts_is_flagged(model):
    whole = head()
    cut = LabelMap(
        np.ascontiguousarray(whole.array[20:]), whole.geometry.crop((20, 0, 0), (30, 60, 70)), whole.segments
    )
    found = look(cut, model)
    assert [f.code for f in found.flags if "meets the border" in f.message] == ["FOV_ORGAN_ABSENT"] * 2


def test_labels_without_the_names_and_models_without_a_locator_are_refused(model, engine_manifest):
    other = head().replace(segments=(Segment(1, "A"), Segment(2, "B"), Segment(3, "C")))
    with pytest.raises(InputError, match="no segment called 'Left organ'"):
        look(other, model)
    with pytest.raises(InputError, match="does not say which segments"):
        look(head(), engine_manifest())
    assert has_segments(head(), model.region.locator)
    assert not has_segments(other, model.region.locator)
    assert not has_segments(None, model.region.locator)


def test_unions_are_named_and_leave_nothing_out():
    labels = head()
    found = unions(labels, {"Both": ["Left organ", "Right organ"], "Rest": ["Around", "Left organ"]})
    assert [s.name for s in found.segments] == ["Both", "Rest"]
    np.testing.assert_array_equal(found.array == 1, labels.array >= 2)
    np.testing.assert_array_equal(found.array == 2, labels.array == 1)
    with pytest.raises(InputError, match="Nobody"):
        unions(labels, {"X": ["Nobody"]})
