"""Operations on whole segments: combine, merge, invert, rename, drop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.qc import QCFlag, Severity
from medai.segment.anatomy import named
from medai.segment.morphology import dilated, eroded
from medai.segment.postprocess.boolean import Boolean
from medai.segment.postprocess.invert import Invert
from medai.segment.postprocess.merge import Merge
from medai.segment.postprocess.remove import Remove
from medai.segment.postprocess.rename import Rename

SPACING = (2.0, 1.0, 0.5)


@pytest.fixture
def labels() -> LabelMap:
    """Liver 1 with a vessel 4 in it, bone 9 apart, and an empty segment 12."""
    array = np.zeros((8, 16, 24), dtype=np.uint8)
    array[1:7, 2:12, 3:15] = 1
    array[2:5, 5:8, 6:10] = 4
    array[2:5, 13:15, 16:22] = 9
    segments = (named(1, "Liver"), Segment(4, "Vessel"), named(9, "Bone"), Segment(12, "Nothing"))
    flag = QCFlag("FOV_CLIPPED", Severity.WARNING, "Cut off.", affects="Bone")
    return LabelMap(array, Geometry.from_spacing(array.shape, SPACING[::-1]), segments, (flag,))


def names(labels: LabelMap) -> list[str]:
    return [s.name for s in labels.segments]


def mask(labels: LabelMap, name: str) -> np.ndarray:
    return labels.mask(labels.segment(name))


@pytest.mark.parametrize("margin", [0.0, 1.0, 2.3, -0.6])
@pytest.mark.parametrize("operation", ["union", "intersection", "difference", "xor"])
@pytest.mark.parametrize("keep", [True, False])
def test_boolean_equals_numpy(labels: LabelMap, operation: str, margin: float, keep: bool) -> None:
    liver, vessel, bone = mask(labels, "Liver"), mask(labels, "Vessel"), mask(labels, "Bone")
    move = dilated if margin > 0 else eroded
    second = move(vessel, abs(margin), SPACING) if margin else vessel
    expected = {
        "union": liver | second,
        "intersection": liver & second,
        "difference": liver & ~second,
        "xor": liver ^ second,
    }[operation] & ~bone
    settings: dict[str, Any] = {"segments": ["Liver"], "others": ["Vessel"], "operation": operation, "name": "New"}
    result = Boolean().run(labels, {**settings, "margin_mm": margin, "keep": keep})
    assert np.array_equal(mask(result, "New"), expected)
    assert np.array_equal(mask(result, "Bone"), bone)
    assert ("Liver" in names(result)) == keep
    if keep:
        assert np.array_equal(mask(result, "Liver"), liver & ~expected)
        assert np.array_equal(mask(result, "Vessel"), vessel & ~expected)
    else:
        assert np.array_equal(result.array > 0, expected | bone)
    flagged = {f.affects for f in result.flags if f.code == "MASK_EMPTY"}
    assert ("New" in flagged) == (not expected.any())


def test_boolean_takes_other_segments_only_if_told(labels: LabelMap) -> None:
    settings = {"segments": ["Liver"], "others": ["Vessel"], "margin_mm": 100.0, "name": "New"}
    kind = Boolean().run(labels, settings)
    assert np.array_equal(mask(kind, "Bone"), mask(labels, "Bone"))
    assert (kind.array > 0).all()
    rough = Boolean().run(labels, {**settings, "overwrite": True})
    assert mask(rough, "New").all()
    assert "Bone" in names(rough)


def test_boolean_without_names_is_the_union_of_all(labels: LabelMap) -> None:
    result = Boolean().run(labels, {"name": "Liver", "keep": False})
    assert names(result) == ["Liver"]
    assert np.array_equal(result.array > 0, labels.array > 0)
    assert result.segments[0].type == labels.segment("Liver").type
    rest = Boolean().run(labels, {"others": ["Vessel", "Bone"], "operation": "difference"})
    assert np.array_equal(mask(rest, "Result"), mask(labels, "Liver"))
    with pytest.raises(InputError, match="'Bone'"):
        Boolean().run(labels, {"name": "Bone"})


def test_merge_takes_the_first_ones_place(labels: LabelMap) -> None:
    result = Merge().run(labels, {"segments": ["Vessel", "Liver"]})
    assert names(result) == ["Vessel", "Bone", "Nothing"]
    assert result.segment("Vessel").label == 4
    assert np.array_equal(mask(result, "Vessel"), (labels.array == 1) | (labels.array == 4))
    body = Merge().run(labels, {"name": "Body"})
    assert body.segments == (named(1, "Body"),)
    assert np.array_equal(body.array > 0, labels.array > 0)
    again = Merge().run(labels, {"segments": ["Liver", "Vessel"], "name": "Vessel"})
    assert names(again) == ["Vessel", "Bone", "Nothing"]
    with pytest.raises(InputError, match="'Bone'"):
        Merge().run(labels, {"segments": ["Liver", "Vessel"], "name": "Bone"})


@pytest.mark.parametrize("keep", [True, False])
def test_invert(labels: LabelMap, keep: bool) -> None:
    every = Invert().run(labels, {"keep": keep})
    assert np.array_equal(mask(every, "Rest"), labels.array == 0)
    assert (every.array > 0).all() == keep
    one = Invert().run(labels, {"segments": ["Liver"], "keep": keep, "name": "Air"})
    assert np.array_equal(mask(one, "Air"), labels.array == 0)
    assert np.array_equal(mask(one, "Vessel"), mask(labels, "Vessel"))
    assert one.segment("Air").type == named(1, "Air").type
    rough = Invert().run(labels, {"segments": ["Liver"], "keep": keep, "overwrite": True})
    assert np.array_equal(mask(rough, "Rest"), labels.array != 1)


def test_a_new_segment_gets_a_free_label_and_sixteen_bits_where_needed() -> None:
    grid = Geometry.from_spacing((1, 16, 16))
    array = np.arange(256).reshape(1, 16, 16)
    full = LabelMap(array, grid)
    result = Invert().run(full)
    assert result.array.dtype == np.uint16
    assert result.segment("Rest").label == 256
    assert result.array[0, 0, 0] == 256


def test_rename_brings_codes_and_colour_along(labels: LabelMap) -> None:
    result = Rename().run(labels, {"segment": "Vessel", "name": "Left kidney"})
    assert result.segments[1] == named(4, "Left kidney")
    assert np.array_equal(result.array, labels.array)
    with pytest.raises(InputError, match="'Bone'"):
        Rename().run(labels, {"segment": "Vessel", "name": "Bone"})
    with pytest.raises(InputError, match="4 segments"):
        Rename().run(labels, {"name": "Body"})
    alone = Remove().run(labels, {"segments": ["Liver"], "others": True})
    assert Rename().run(alone, {"name": "Spleen"}).segments == (named(1, "Spleen"),)


def test_what_was_noticed_about_a_segment_goes_with_its_name(labels: LabelMap) -> None:
    renamed = Rename().run(labels, {"segment": "Bone", "name": "Spine"})
    assert [(f.code, f.affects) for f in renamed.flags] == [("FOV_CLIPPED", "Spine"), ("MASK_EMPTY", "Nothing")]
    merged = Merge().run(labels, {"segments": ["Liver", "Bone", "Nothing"]})
    assert [(f.code, f.affects) for f in merged.flags] == [("FOV_CLIPPED", "Liver")]
    removed = Remove().run(labels, {"segments": ["Bone", "Nothing"]})
    assert removed.flags == ()


def test_remove(labels: LabelMap) -> None:
    empty = Remove().run(labels)
    assert names(empty) == ["Liver", "Vessel", "Bone"]
    assert np.array_equal(empty.array, labels.array)
    one = Remove().run(labels, {"segments": ["Liver"]})
    assert names(one) == ["Vessel", "Bone", "Nothing"]
    assert np.array_equal(one.array, np.where(labels.array == 1, 0, labels.array))
    rest = Remove().run(labels, {"segments": ["Bone", "Vessel"], "others": True})
    assert names(rest) == ["Vessel", "Bone"]
    assert np.array_equal(rest.array > 0, labels.array > 1)
