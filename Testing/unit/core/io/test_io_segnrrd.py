from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medai.core.errors import InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume, write_labelmap
from medai.core.io.segnrrd import labels_from_pairs, pairs_from_labels
from medai.core.labelmap import Code, LabelMap, Segment

LEFT = Segment(
    1, "Left hippocampus", (1.0, 0.5, 0.25),
    Code("123037004", "SCT", "Anatomical Structure"), Code("5366008", "SCT", "Hippocampus"),
    Code("7771000", "SCT", "Left"),
)  # fmt: skip


def sample() -> LabelMap:
    array = np.zeros((3, 4, 5), np.uint8)
    array[0, 0, 0], array[2, 3, 4] = 1, 4
    odd = Segment(4, 'Name with = : := ~ ^ | \\n "quotes", ü and 日本', type=Code("1|2~3", "99^X", "a~b"))
    return LabelMap(array, Geometry.from_spacing((3, 4, 5)), (LEFT, odd, Segment(9, "empty")))


def test_names_colours_and_codes_survive(tmp_path: Path) -> None:
    labels = sample()
    write_labelmap(labels, tmp_path / "x.seg.nrrd")
    back = read_labelmap(tmp_path / "x.seg.nrrd")
    np.testing.assert_array_equal(back.array, labels.array)
    assert back.segments[0] == LEFT
    assert [s.name for s in back.segments] == [s.name for s in labels.segments]
    assert back.segments[1].type == Code("1 2 3", "99 X", "a b"), "separators cannot be kept inside a code"


def test_given_segments_replace_those_of_the_file(tmp_path: Path) -> None:
    write_labelmap(sample(), tmp_path / "x.seg.nrrd")
    back = read_labelmap(tmp_path / "x.seg.nrrd", segments=[Segment(1, "mine")])
    assert [s.name for s in back.segments] == ["mine", "Label 4"]


def test_a_plain_nrrd_says_nothing_about_segments(tmp_path: Path) -> None:
    write_labelmap(sample(), tmp_path / "x.nrrd")
    assert b"Segment0" not in (tmp_path / "x.nrrd").read_bytes()


def test_layers_are_merged_or_refused() -> None:
    layers = np.zeros((2, 3, 4, 2), np.uint8)
    layers[0, 0, 0, 0], layers[1, 1, 1, 1] = 1, 1
    pairs = {
        "Segment0_ID": "a", "Segment0_LabelValue": "1", "Segment0_Layer": "0", "Segment0_Name": "same",
        "Segment1_ID": "b", "Segment1_LabelValue": "1", "Segment1_Layer": "1", "Segment1_Name": "same",
    }  # fmt: skip
    array, segments = labels_from_pairs(layers, pairs, "x")
    assert (array[0, 0, 0], array[1, 1, 1], np.count_nonzero(array)) == (1, 2, 2)
    assert [(s.label, s.name) for s in segments] == [(1, "same"), (2, "same (2)")]
    layers[0, 0, 0, 1] = 1
    with pytest.raises(UnsupportedInput, match="overlap"):
        labels_from_pairs(layers, pairs, "x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LabelValue", "0"),
        ("LabelValue", "70000"),
        ("LabelValue", "-1"),
        ("LabelValue", "nan"),
        ("Layer", "3"),
        ("Layer", "x"),
    ],
)
def test_impossible_entries(key: str, value: str) -> None:
    pairs = {"Segment0_ID": "a", "Segment0_LabelValue": "1", f"Segment0_{key}": value}
    with pytest.raises(InputError, match="Segment 0"):
        labels_from_pairs(np.zeros((2, 3, 4), np.uint8), pairs, "x")


def test_a_file_that_slicer_wrote_with_layers(tmp_path: Path) -> None:
    """Layer axis first, kind ``list``, as Slicer 5 writes overlapping segmentations."""
    layers = np.zeros((2, 3, 4, 2), np.uint8)
    layers[0, 1, 2, 0], layers[1, 1, 2, 1] = 1, 1
    head = (
        "NRRD0004\ntype: uint8\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 4 3 2\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: list domain domain domain\nencoding: raw\n"
        "space origin: (0,0,0)\nSegment0_ID:=Segment_1\nSegment0_LabelValue:=1\nSegment0_Layer:=0\nSegment0_Name:=one\n"
        "Segment1_ID:=Segment_2\nSegment1_LabelValue:=1\nSegment1_Layer:=1\nSegment1_Name:=two\n\n"
    )
    (tmp_path / "x.seg.nrrd").write_bytes(head.encode() + layers.tobytes())
    labels = read_labelmap(tmp_path / "x.seg.nrrd")
    assert [s.name for s in labels.segments] == ["one", "two"]
    assert labels.counts() == {1: 1, 2: 1}
    assert labels.array[1, 1, 2] == 2


def test_slicer_reads_what_we_write(tmp_path: Path) -> None:
    slicer = pytest.importorskip("slicer")
    write_labelmap(sample(), tmp_path / "x.seg.nrrd")
    scene = slicer.vtkMRMLScene()
    node = slicer.vtkMRMLSegmentationNode()
    scene.AddNode(node)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "x.seg.nrrd"))
    assert storage.ReadData(node)
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 3
    first = segmentation.GetNthSegment(0)
    assert first.GetName() == "Left hippocampus"
    np.testing.assert_allclose(first.GetColor(), LEFT.color)
    assert pairs_from_labels(sample())["Segment0_Tags"].split(":", 1)[1].startswith("Segmentation category")
    text = "".join(read_volume(tmp_path / "x.seg.nrrd").meta.values())
    assert "hippocampus" not in text
