"""Putting new segments together with old ones."""

import numpy as np
import pytest

from medai.core.errors import GeometryError, InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.qc import QCFlag, Severity
from medai.segment.merge import merged

GRID = Geometry.from_spacing((1, 1, 6))


def labels(values, *segments):
    return LabelMap(np.array([[values]], dtype=np.uint8), GRID, segments)


OLD = labels([1, 1, 2, 2, 0, 0], Segment(1, "A"), Segment(2, "B"))
NEW = labels([0, 3, 3, 0, 3, 0], Segment(3, "C"))


@pytest.mark.parametrize(
    ("how", "expected", "names"),
    [
        ("replace", [0, 3, 3, 0, 3, 0], ["C"]),
        ("over", [1, 5, 5, 2, 5, 0], ["A", "B", "C"]),
        ("under", [1, 1, 2, 2, 5, 0], ["A", "B", "C"]),
    ],
)
def test_the_three_ways(how, expected, names):
    found = merged(OLD, NEW, how)
    assert found.array.ravel().tolist() == expected
    assert [s.name for s in found.segments] == names


def test_a_namesake_is_replaced():
    found = merged(OLD, labels([0, 0, 0, 1, 1, 0], Segment(1, "A")), "under")
    assert [(s.label, s.name) for s in found.segments] == [(2, "B"), (3, "A")]
    assert found.array.ravel().tolist() == [0, 0, 2, 2, 3, 0]


def test_without_labels_before_the_new_ones_stand_alone():
    assert merged(None, NEW, "over") is NEW


def test_labels_beyond_eight_bits_widen_and_beyond_sixteen_are_refused():
    many = labels([250, 0, 0, 0, 0, 0], Segment(250, "Z"))
    found = merged(many, labels([0, 9, 0, 0, 0, 0], Segment(9, "Y")), "over")
    assert found.array.ravel().tolist()[:2] == [250, 259]
    high = LabelMap(np.array([[[65535, 0, 0, 0, 0, 0]]], dtype=np.uint16), GRID, (Segment(65535, "Z"),))
    with pytest.raises(InputError, match="65535"):
        merged(high, NEW, "over")


def test_another_grid_is_refused():
    other = LabelMap(NEW.array, Geometry.from_spacing((1, 1, 6), (2.0, 1.0, 1.0)), NEW.segments)
    with pytest.raises(GeometryError):
        merged(OLD, other, "over")


def test_flags_follow_their_segments():
    def flag(segment, code="MASK_EMPTY"):
        return QCFlag(code, Severity.WARNING, "Something.", affects=segment)

    old = OLD.replace(flags=(flag("A"), flag("B", "FOV_CLIPPED"), flag("image", "INT_RANGE_NOT_HU")))
    new = labels([0, 0, 0, 1, 1, 0], Segment(1, "A")).replace(flags=(flag("image", "INT_RANGE_NOT_HU"),))
    assert merged(old, new, "under").flags == (flag("B", "FOV_CLIPPED"), flag("image", "INT_RANGE_NOT_HU"))


@pytest.mark.parametrize(("how", "empty"), [("over", "A"), ("under", "C")])
def test_a_segment_that_others_cover_is_flagged(how, empty):
    new = labels([3, 3, 0, 0, 0, 0], Segment(3, "C"))
    found = merged(OLD, new, how)
    assert [(f.code, f.affects) for f in found.flags] == [("MASK_EMPTY", empty)]
    assert merged(found, labels([0, 0, 0, 0, 0, 1], Segment(1, "D")), "over").flags == found.flags
