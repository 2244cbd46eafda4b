"""medai.mrml.labelmaps: label map volumes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer

from medai.core.errors import InputError, SceneError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.mrml import labels_from_segmentation, labels_from_volume, labels_to_volume, volume_to_node
from medai.mrml.arrays import to_image, to_matrix

GRID = Geometry.from_spacing((2, 3, 4))


def labelmap_node(scene, array):
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    node.SetIJKToRASMatrix(to_matrix(GRID.ijk_to_ras))
    node.SetAndObserveImageData(to_image(array))
    return node


def test_round_trip(scene, labels):
    back = labels_from_volume(labels_to_volume(labels, scene))
    assert back.segments == labels.segments
    assert back.digest() == labels.digest()


def test_survives_saving(session, tmp_path, labels):
    labels_to_volume(labels, session.scene, "L")
    session.save(tmp_path / "l.mrb")
    session.load(tmp_path / "l.mrb")
    node = session.scene.GetFirstNodeByName("L")
    back = labels_from_volume(node)
    assert back.segments == labels.segments
    assert back.digest() == labels.digest()
    colors = node.GetDisplayNode().GetColorNode()
    assert [colors.GetColorName(s.label) for s in labels.segments] == [s.name for s in labels.segments]


def test_slicer_imports_names_and_colours(scene, labels):
    node = labels_to_volume(labels, scene)
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(node, segmentation, "")
    back = labels_from_segmentation(segmentation, labels.geometry)
    present = [s for s in labels.segments if labels.mask(s).any()]
    assert [s.name for s in back.segments] == [s.name for s in present]
    assert np.allclose([s.color for s in back.segments], [s.color for s in present], atol=0.01)
    for got, want in zip(back.segments, present, strict=True):
        assert np.array_equal(back.mask(got), labels.mask(want))


def test_a_volume_of_another_origin_takes_names_from_its_colour_table(scene):
    array = np.zeros(GRID.shape, np.int16)
    array[0], array[1, 0], array[1, 1] = 1, 2, 300
    node = labelmap_node(scene, array)
    colors = scene.AddNewNodeByClass("vtkMRMLColorTableNode")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(3)
    colors.SetColor(1, "liver", 0.5, 0.25, 0.0, 1.0)
    colors.SetColor(2, "liver", 0.0, 0.25, 0.0, 1.0)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    segments = labels_from_volume(node).segments
    assert [(s.label, s.name) for s in segments] == [(1, "liver"), (2, "Label 2"), (300, "Label 300")]
    assert np.allclose(segments[0].color, (0.5, 0.25, 0.0), atol=0.01)


def test_a_volume_without_display_node(scene):
    labels = labels_from_volume(labelmap_node(scene, np.ones(GRID.shape, np.uint8)))
    assert [s.name for s in labels.segments] == ["Label 1"]


def test_negative_values_are_refused(scene):
    with pytest.raises(InputError, match="from 0 to 65535"):
        labels_from_volume(labelmap_node(scene, np.full(GRID.shape, -1, np.int16)))


def test_wrong_nodes_are_refused(scene, labels):
    with pytest.raises(SceneError, match="label map volume is needed"):
        labels_from_volume(volume_to_node(Volume(np.zeros(GRID.shape, np.uint8), GRID), scene))
    before = scene.GetNumberOfNodes()
    with pytest.raises(SceneError, match="MRML scene"):
        labels_to_volume(labels, None)
    with pytest.raises(SceneError, match="JSON"):
        labels_to_volume(labels, scene, provenance={"a": object()})
    assert scene.GetNumberOfNodes() == before


def test_no_labels_at_all(scene):
    labels = LabelMap(np.zeros(GRID.shape, np.uint8), GRID)
    assert labels_from_volume(labels_to_volume(labels, scene)).segments == ()
