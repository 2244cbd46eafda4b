"""medai.mrml.segment_reading: segmentation nodes of any origin to label maps."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer
import vtk

from medai.core.errors import GeometryError, SceneError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.mrml import (
    labels_from_segmentation,
    labels_to_segmentation,
    layers_from_segmentation,
    segment_ids,
    volume_to_node,
)
from medai.mrml.arrays import oriented_image, to_matrix

GRID = Geometry.from_spacing((6, 7, 8), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0))


def add(node, name, array, geometry=GRID, *, value=1, image=None):
    """Add a segment the way Slicer's own tools do: each with its own image unless one is given."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetLabelValue(value)
    segment.AddRepresentation("Binary labelmap", image or oriented_image(array, geometry.ijk_to_ras))
    assert node.GetSegmentation().AddSegment(segment, "")
    return segment


@pytest.fixture
def node(scene):
    """A segmentation with two separate boxes, each in its own layer with label 1, as Slicer's editor makes them."""
    made = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    first, second = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.uint8)
    first[1:3, 1:3, 1:3] = 1
    second[4:6, 4:6, 4:6] = 1
    add(made, "one", first)
    add(made, "two", second)
    return made


def test_separate_layers_become_one_label_map(node):
    labels = labels_from_segmentation(node, GRID)
    assert [(s.label, s.name) for s in labels.segments] == [(1, "one"), (2, "two")]
    assert labels.counts() == {1: 8, 2: 8}
    assert labels.array[1, 1, 1] == 1
    assert labels.array[4, 4, 4] == 2
    assert len(layers_from_segmentation(node, GRID)) == 1


def test_distinct_labels_are_kept(scene):
    made = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    array = np.zeros(GRID.shape, np.int32)
    array[0], array[1] = 70, 3
    array[2] = 99
    array[3] = -4
    image = oriented_image(array, GRID.ijk_to_ras)
    add(made, "seventy", array, value=70, image=image)
    add(made, "three", array, value=3, image=image)
    labels = labels_from_segmentation(made, GRID)
    assert {s.name: s.label for s in labels.segments} == {"seventy": 70, "three": 3}
    assert np.array_equal(np.unique(labels.array), [0, 3, 70])
    assert (labels.array[2:4] == 0).all()


def test_labels_that_do_not_fit_are_numbered(scene):
    made = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    array = np.zeros(GRID.shape, np.int32)
    array[0] = 70000
    add(made, "far", array, value=70000)
    labels = labels_from_segmentation(made, GRID)
    assert labels.counts() == {1: 56}


def test_overlap_is_refused_by_name(node):
    third = np.zeros(GRID.shape, np.uint8)
    third[5:6, 4:6, 4:6] = 1
    add(node, "three", third)
    with pytest.raises(UnsupportedInput, match="'two' and 'three' overlap in 4 voxels"):
        labels_from_segmentation(node, GRID)
    layers = layers_from_segmentation(node, GRID)
    assert [[s.name for s in layer.segments] for layer in layers] == [["one", "two"], ["three"]]
    assert len({s.label for layer in layers for s in layer.segments}) == 3
    assert layers[1].counts() == {3: 4}


def test_repeated_names_are_numbered_and_the_map_is_kept(node):
    for name in ("one", "", "", "one (2)"):
        add(node, name, np.zeros(GRID.shape, np.uint8))
    names = [s.name for s in labels_from_segmentation(node, GRID).segments]
    assert names == ["one", "two", "one (2)", "", "(2)", "one (2) (2)"]
    ids = segment_ids(node)
    assert list(ids) == names
    assert [node.GetSegmentation().GetSegment(i).GetName() for i in ids.values()] == [
        "one", "two", "one", "", "", "one (2)"
    ]  # fmt: skip


def test_an_empty_segment_as_slicer_makes_it(node):
    node.GetSegmentation().AddEmptySegment("empty", "nothing")
    labels = labels_from_segmentation(node, GRID)
    assert [s.name for s in labels.segments] == ["one", "two", "nothing"]
    assert labels.counts()[3] == 0


def test_slicers_own_layout_is_understood(node, scene):
    expected = labels_from_segmentation(node, GRID)
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    assert np.array_equal(labels_from_segmentation(node, GRID).array, expected.array)


def test_grid_without_a_reference(node):
    labels = labels_from_segmentation(node)
    assert labels.geometry.same_as(GRID, 1e-9)


def test_reference_geometry_of_the_node_is_the_default_grid(scene, labels, volume):
    reference = volume_to_node(volume, scene)
    made = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    made.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    box = np.full((1, 2, 3), 1, np.uint8)
    add(made, "box", box, volume.geometry.crop((2, 3, 1), (1, 2, 3)))
    back = labels_from_segmentation(made)
    assert back.geometry.same_as(volume.geometry, 1e-9)
    assert np.argwhere(back.array).min(axis=0).tolist() == [2, 3, 1]
    assert back.counts() == {1: 6}


def test_voxels_outside_the_image_are_flagged(node):
    smaller = GRID.crop((0, 0, 0), (5, 7, 8))
    labels = labels_from_segmentation(node, smaller)
    assert labels.counts() == {1: 8, 2: 4}
    assert [(f.code, f.affects, f.measured) for f in labels.flags] == [("FOV_CLIPPED", "two", 4.0)]
    assert labels_from_segmentation(node, GRID).flags == ()


def test_a_disjoint_image_gets_only_flags(node):
    far = Geometry(GRID.shape, GRID.crop((100, 0, 0), (6, 7, 8)).ijk_to_ras)
    labels = labels_from_segmentation(node, far)
    assert not labels.array.any()
    assert [f.affects for f in labels.flags] == ["one", "two"]


def test_another_grid_needs_a_choice(node):
    finer = GRID.with_spacing((0.5, 0.5, 0.5))
    with pytest.raises(GeometryError, match="differs from the image grid") as caught:
        labels_from_segmentation(node, finer)
    assert GRID.describe() in str(caught.value)
    assert finer.describe() in str(caught.value)
    labels = labels_from_segmentation(node, finer, resample=True)
    volumes = labels.volumes_ml()
    assert volumes["one"] == pytest.approx(8 * GRID.voxel_volume_mm3 / 1000, rel=1e-6)
    assert labels.geometry == finer


def test_half_a_voxel_is_not_the_same_grid(node):
    matrix = GRID.ijk_to_ras.copy()
    matrix[0, 3] += 0.5
    with pytest.raises(GeometryError):
        labels_from_segmentation(node, Geometry(GRID.shape, matrix))


def test_flipped_and_turned_grids_are_the_same_voxels(node):
    labels = labels_from_segmentation(node, GRID)
    turned = labels_from_segmentation(node, GRID.flip(0).transpose((2, 0, 1)))
    assert np.array_equal(turned.array, np.flip(labels.array, 0).transpose(2, 0, 1))


def test_transform_is_refused_unless_asked_for(node, scene):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = 4, 5, 6
    transform.SetMatrixTransformToParent(to_matrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(SceneError, match="under a transform"):
        labels_from_segmentation(node, GRID)
    moved = Geometry(GRID.shape, matrix @ GRID.ijk_to_ras)
    labels = labels_from_segmentation(node, moved, transform="harden")
    assert labels.counts() == {1: 8, 2: 8}
    assert labels_from_segmentation(node, transform="harden").geometry.same_as(moved, 1e-9)
    assert node.GetParentTransformNode() is transform


def test_segmentation_and_image_under_one_transform(scene, labels, volume):
    reference = volume_to_node(volume, scene)
    node = labels_to_segmentation(labels, scene, reference=reference)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    transform.SetMatrixTransformToParent(to_matrix(matrix))
    for item in (reference, node):
        item.SetAndObserveTransformNodeID(transform.GetID())
    back = labels_from_segmentation(node, reference, transform="harden")
    assert np.array_equal(back.array, labels.array)


def test_surfaces_are_converted_on_a_copy(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(15, 20, 25)
    sphere.SetRadius(8)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    segment = slicer.vtkSegment()
    segment.SetName("ball")
    segment.AddRepresentation("Closed surface", sphere.GetOutput())
    assert node.GetSegmentation().AddSegment(segment, "ball")
    grid = Geometry.from_spacing((50, 40, 30))
    labels = labels_from_segmentation(node, grid)
    assert labels.volumes_ml()["ball"] == pytest.approx(4 / 3 * np.pi * 8**3 / 1000, rel=0.05)
    assert np.allclose(np.argwhere(labels.array).mean(axis=0), (25, 20, 15), atol=0.3)
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")
    with pytest.raises(SceneError, match="grid is unknown"):
        labels_from_segmentation(node)


def test_reading_changes_nothing(node):
    before = (node.GetMTime(), node.GetSegmentation().GetMTime())
    labels = labels_from_segmentation(node, GRID)
    assert (node.GetMTime(), node.GetSegmentation().GetMTime()) == before
    image = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    image.SetScalarComponentFromDouble(0, 0, 0, 0, 1.0)
    assert labels.array[0, 0, 0] == 0


@pytest.mark.parametrize("wrong", [None, 4])
def test_what_is_no_segmentation_is_refused(wrong):
    for read in (labels_from_segmentation, layers_from_segmentation, segment_ids):
        with pytest.raises(SceneError, match="segmentation is needed"):
            read(wrong)


def test_an_empty_node_has_no_grid(scene, volume):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    with pytest.raises(SceneError, match="grid is unknown"):
        labels_from_segmentation(node)
    labels = labels_from_segmentation(node, volume_to_node(volume, scene))
    assert labels.segments == ()
    assert labels.geometry == volume.geometry


def test_wrong_reference_is_refused(node, scene):
    with pytest.raises(SceneError, match="volume is needed"):
        labels_from_segmentation(node, scene.AddNewNodeByClass("vtkMRMLTableNode"))


def test_many_layers_are_merged_greedily(scene):
    grid = Geometry.from_spacing((4, 4, 4))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for number in range(6):
        array = np.zeros(grid.shape, np.uint8)
        array[number % 3] = 1
        add(node, f"s{number}", array, grid)
    layers = layers_from_segmentation(node, grid)
    assert [[s.name for s in layer.segments] for layer in layers] == [["s0", "s1", "s2"], ["s3", "s4", "s5"]]
    assert all(isinstance(layer, LabelMap) for layer in layers)
    assert [s.label for layer in layers for s in layer.segments] == [1, 2, 3, 4, 5, 6]
    assert layers[0].segments[0] == Segment(1, "s0", layers[0].segments[0].color)
