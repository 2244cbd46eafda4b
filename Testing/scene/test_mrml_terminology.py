"""medai.mrml.terminology: codes to Slicer's terminology tag and back, checked with Slicer's own parser."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer")

import slicer

from medai.core.errors import InputError
from medai.core.labelmap import Code, Segment
from medai.mrml.terminology import get_tag, parse, serialise, set_tag

CATEGORY = Code("123037004", "SCT", "Anatomical Structure")
KIND = Code("4421005", "SCT", "Cell")
SIDE = Code("7771000", "SCT", "Left")


def test_no_codes_no_text():
    assert serialise(Segment(1, "x")) == ""
    assert parse("") == (None, None, None)


@pytest.mark.parametrize("side", [None, SIDE])
def test_slicer_reads_what_we_write(side):
    text = serialise(Segment(1, "x", (0, 0, 0), CATEGORY, KIND, side))
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(text, entry)
    assert entry.GetTerminologyContextName() == "Segmentation category and type - DICOM master list"
    assert entry.GetCategoryObject().GetCodeValue() == "123037004"
    assert entry.GetTypeObject().GetCodeMeaning() == "Cell"
    assert (entry.GetTypeModifierObject().GetCodeValue() or None) == (side.value if side else None)
    assert parse(text) == (CATEGORY, KIND, side)


def test_we_read_what_slicer_writes():
    text = (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure~"
        "SCT^64033007^Kidney~SCT^24028007^Right~Anatomic codes - DICOM master list~SCT^1^Region~SCT^2^Modifier"
    )
    assert parse(text) == (CATEGORY, Code("64033007", "SCT", "Kidney"), Code("24028007", "SCT", "Right"))


@pytest.mark.parametrize("meaning", ["é 脑", "a: b, c; d", 'quote " and \\', "50 % <&>", " lead"])
def test_meanings_are_kept(meaning):
    kind = Code("1", "99X", meaning)
    assert parse(serialise(Segment(1, "x", (0, 0, 0), CATEGORY, kind)))[1] == kind


@pytest.mark.parametrize("sign", "^~|")
def test_separators_in_meanings_become_spaces_and_are_refused_in_codes(sign):
    kind = Code("1", "SCT", f"a{sign}b")
    assert parse(serialise(Segment(1, "x", (0, 0, 0), CATEGORY, kind)))[1] == Code("1", "SCT", "a b")
    for bad in (Code(f"1{sign}", "SCT", "m"), Code("1", f"S{sign}T", "m")):
        with pytest.raises(InputError, match="label 4"):
            serialise(Segment(4, "x", (0, 0, 0), CATEGORY, bad))


@pytest.mark.parametrize("text", ["garbage", "a~b~c", "~~~~~~", "^^^^", "a~SCT^1^m~SCT^2"])
def test_garbage_reads_as_nothing(text):
    assert parse(text) == (None, None, None)


def test_tags():
    segment = slicer.vtkSegment()
    assert get_tag(segment) == ""
    set_tag(segment, Segment(1, "x"))
    assert get_tag(segment) == ""
    set_tag(segment, Segment(1, "x", (0, 0, 0), CATEGORY, KIND))
    assert parse(get_tag(segment)) == (CATEGORY, KIND, None)
