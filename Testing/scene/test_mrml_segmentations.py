"""medai.mrml.segmentations: label maps to segmentation nodes."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer
import vtk

from medai.core.errors import GeometryError, InputError, SceneError
from medai.core.geometry import Geometry
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.qc import QCFlag, Severity
from medai.mrml import (
    labels_from_segmentation,
    labels_to_segmentation,
    layers_from_segmentation,
    layers_to_segmentation,
    provenance_of,
    segment_ids,
    volume_to_node,
)
from medai.mrml.arrays import from_image, to_matrix

ODD_NAMES = [
    "",
    "a" * 300,
    "back\\slash\\n",
    "脑 é 🧠",
    "../../x",
    "CON",
    "a|b:c^d~e;f",
    "line\nend\ttab",
    "<b>&\"'",
    " lead ",
]


def exported(scene, node):
    """Labels as Slicer's own export writes them on the reference geometry."""
    out = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    done = slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(
        node, out, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    assert done
    return np.array(from_image(out.GetImageData())), out


def numbered(labels):
    """The labels as 1, 2, 3, ... in the order of the segments, which is how Slicer exports."""
    result = np.zeros(labels.array.shape, np.uint16)
    for number, segment in enumerate(labels.segments, start=1):
        result[labels.mask(segment)] = number
    return result


def test_round_trip_is_exact(scene, labels):
    node = labels_to_segmentation(labels, scene)
    back = labels_from_segmentation(node)
    assert back.segments == labels.segments
    assert np.array_equal(back.array, labels.array)
    assert back.digest() == labels.digest()


def test_works_in_a_bare_scene(labels):
    scene = slicer.vtkMRMLScene()
    assert labels_from_segmentation(labels_to_segmentation(labels, scene)).digest() == labels.digest()


def test_slicer_sees_the_same_segments(scene, labels, volume):
    reference = volume_to_node(volume, scene)
    node = labels_to_segmentation(labels, scene, reference=reference)
    array, out = exported(scene, node)
    assert np.array_equal(array, numbered(labels))
    matrix = vtk.vtkMatrix4x4()
    out.GetIJKToRASMatrix(matrix)
    assert np.allclose(matrix.MultiplyPoint((1, 2, 3, 1))[:3], labels.geometry.to_ras((1, 2, 3)), atol=1e-9)
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfLayers() == 1
    assert segmentation.GetSourceRepresentationName() == "Binary labelmap"
    assert [segmentation.GetNthSegment(n).GetName() for n in range(4)] == [s.name for s in labels.segments]


def test_reference_volume_is_set_for_dicom_export(scene, labels, volume):
    reference = volume_to_node(volume, scene)
    node = labels_to_segmentation(labels, scene, reference=reference)
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is reference
    alone = labels_to_segmentation(labels, scene)
    assert alone.GetNodeReference(role) is None
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    texts = [n.GetSegmentation().GetConversionParameter(name) for n in (node, alone)]
    numbers = [[float(v) for v in text.rstrip(";").split(";")] for text in texts]
    assert np.allclose(numbers[0], numbers[1], atol=1e-9)
    assert np.allclose(np.reshape(numbers[1][:16], (4, 4)), labels.geometry.ijk_to_ras, atol=1e-12)
    assert numbers[1][16:] == [0, 6, 0, 5, 0, 4]


def test_terminology_is_what_slicer_parses(scene, labels):
    segment = labels_to_segmentation(labels, scene).GetSegmentation().GetNthSegment(0)
    text = vtk.reference("")
    assert segment.GetTag(segment.GetTerminologyEntryTagName(), text)
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(str(text), entry)
    assert entry.GetTypeObject().GetCodeValue() == "4421005"
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Left"
    assert str(text) == (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^4421005^Cell~"
        "SCT^7771000^Left~Anatomic codes - DICOM master list~^^~^^"
    )


def test_a_segment_without_codes_keeps_slicers_placeholder(scene, labels):
    segmentation = labels_to_segmentation(labels, scene).GetSegmentation()
    assert segmentation.GetNthSegment(2).GetTerminology() == slicer.vtkSegment().GetTerminology()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_sixteen_bit_labels(scene, kind):
    top = np.iinfo(kind).max
    array = np.zeros((3, 4, 5), kind)
    array[0], array[1] = 1, top
    labels = LabelMap(array, Geometry.from_spacing((3, 4, 5)), (Segment(int(top), "top"), Segment(1, "one")))
    node = labels_to_segmentation(labels, scene)
    assert labels_from_segmentation(node).digest() == labels.digest()
    assert np.array_equal(exported(scene, node)[0], numbered(labels))


def test_all_segments_empty(scene):
    labels = LabelMap(
        np.zeros((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4)), (Segment(1, "a"), Segment(2, "b"))
    )
    back = labels_from_segmentation(labels_to_segmentation(labels, scene))
    assert back.segments == labels.segments
    assert back.digest() == labels.digest()


def test_no_segments_at_all(scene):
    labels = LabelMap(np.zeros((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4)))
    back = labels_from_segmentation(labels_to_segmentation(labels, scene))
    assert back.segments == ()
    assert back.geometry == labels.geometry


def test_odd_names_are_kept_and_ids_are_safe(scene):
    array = np.zeros((2, 3, 4), np.uint8)
    array.flat[: len(ODD_NAMES)] = np.arange(1, len(ODD_NAMES) + 1)
    segments = tuple(Segment(n, name) for n, name in enumerate(ODD_NAMES, start=1))
    labels = LabelMap(array, Geometry.from_spacing(array.shape), segments)
    node = labels_to_segmentation(labels, scene)
    assert labels_from_segmentation(node).segments == segments
    ids = segment_ids(node)
    assert list(ids) == ODD_NAMES
    assert list(ids.values()) == [f"Segment_{n}" for n in range(1, len(ODD_NAMES) + 1)]
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", value) for value in ids.values())


def test_grey_is_a_colour_like_any_other(scene):
    labels = LabelMap(np.ones((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4)), (Segment(1, "a"),))
    node = labels_to_segmentation(labels, scene)
    shown = node.GetSegmentation().GetNthSegment(0).GetColor()
    assert np.allclose(shown, 0.5, atol=1e-5)
    assert labels_from_segmentation(node).segments[0].color == (0.5, 0.5, 0.5)


def test_display_node_shows_every_segment(scene, labels):
    node = labels_to_segmentation(labels, scene)
    display = node.GetDisplayNode()
    assert display.IsA("vtkMRMLSegmentationDisplayNode")
    assert all(display.GetSegmentVisibility(name) for name in segment_ids(node).values())


def test_a_reference_on_another_grid_is_refused_with_both_grids(scene, labels, volume):
    other = Geometry.from_spacing(labels.geometry.shape, (1, 2, 3))
    reference = volume_to_node(volume.replace(geometry=other), scene)
    before = scene.GetNumberOfNodes()
    with pytest.raises(GeometryError, match=r"7 x 6 x 5 .*7 x 6 x 5 ") as caught:
        labels_to_segmentation(labels, scene, reference=reference)
    assert "Resample" in caught.value.hint
    assert scene.GetNumberOfNodes() == before


def test_a_tiny_difference_to_the_reference_is_allowed(scene, labels, volume):
    matrix = volume.geometry.ijk_to_ras.copy()
    matrix[0, 3] += 9e-4
    reference = volume_to_node(volume.replace(geometry=Geometry(volume.geometry.shape, matrix)), scene)
    labels_to_segmentation(labels, scene, reference=reference)
    matrix[0, 3] += 9e-4
    reference = volume_to_node(volume.replace(geometry=Geometry(volume.geometry.shape, matrix)), scene)
    with pytest.raises(GeometryError):
        labels_to_segmentation(labels, scene, reference=reference)


def test_a_reference_under_a_transform_is_taken_in_the_world(scene, labels, volume):
    reference = volume_to_node(volume, scene)
    matrix = np.eye(4)
    matrix[:3, 3] = 5, 6, 7
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(to_matrix(matrix))
    reference.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(GeometryError):
        labels_to_segmentation(labels, scene, reference=reference)
    moved = labels.replace(geometry=Geometry(labels.geometry.shape, matrix @ labels.geometry.ijk_to_ras))
    node = labels_to_segmentation(moved, scene, reference=reference)
    assert np.array_equal(exported(scene, node)[0], numbered(labels))
    assert labels_from_segmentation(node, reference, transform="harden").geometry.same_as(moved.geometry, 1e-9)


@pytest.mark.parametrize("wrong", [None, "scene"])
def test_what_is_no_scene_is_refused(labels, wrong):
    with pytest.raises(SceneError, match="MRML scene is needed"):
        labels_to_segmentation(labels, wrong)


def test_wrong_nodes_are_refused(scene, labels, volume):
    table = scene.AddNewNodeByClass("vtkMRMLTableNode")
    reference = volume_to_node(volume, scene)
    with pytest.raises(SceneError, match="given vtkMRMLTableNode"):
        labels_to_segmentation(labels, scene, reference=table)
    with pytest.raises(SceneError, match="given vtkMRMLScalarVolumeNode"):
        labels_to_segmentation(labels, scene, node=reference)
    scene.RemoveNode(reference)
    with pytest.raises(SceneError, match="not in the scene any more"):
        labels_to_segmentation(labels, scene, reference=reference)


@pytest.mark.parametrize(
    "segment",
    [
        Segment(1, "x", category=Code("1", "SCT", "m")),
        Segment(1, "x", type=Code("1", "SCT", "m")),
        Segment(1, "x", category=Code("1^2", "SCT", "m"), type=Code("1", "SCT", "m")),
        Segment(1, "x", category=Code("1", "S~T", "m"), type=Code("1", "SCT", "m")),
    ],
)
def test_codes_that_slicer_could_not_read_are_refused(scene, segment):
    labels = LabelMap(np.ones((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4)), (segment,))
    before = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match="label 1"):
        labels_to_segmentation(labels, scene)
    assert scene.GetNumberOfNodes() == before


def test_update_replaces_the_content_in_one_modification(scene, labels, volume):
    reference = volume_to_node(volume, scene)
    node = labels_to_segmentation(labels, scene, reference=reference)
    node.GetDisplayNode().SetSegmentVisibility("Segment_2", False)
    kept = node.GetSegmentation().GetSegment("Segment_2")
    grid = Geometry.from_spacing((3, 4, 5))
    array = np.zeros(grid.shape, np.uint8)
    array[0], array[1], array[2] = 4, 5, 6
    other = LabelMap(array, grid, (Segment(5, "New"), Segment(4, "Left back", (0, 0, 1)), Segment(6, "Empty")))
    events = []
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: events.append(event))
    count = scene.GetNumberOfNodes()
    assert labels_to_segmentation(other, scene, node=node) is node
    node.RemoveObserver(tag)
    assert len(events) == 1
    assert scene.GetNumberOfNodes() == count
    assert labels_from_segmentation(node).segments == other.segments
    assert labels_from_segmentation(node).digest() == other.digest()
    assert segment_ids(node) == {"New": "Segment_5", "Left back": "Segment_2", "Empty": "Segment_9"}
    assert node.GetSegmentation().GetSegment("Segment_2") is kept
    assert not node.GetDisplayNode().GetSegmentVisibility("Segment_2")
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is None
    assert node.GetName() == "Segmentation"
    assert np.array_equal(exported(scene, node)[0], numbered(other))


def test_edits_after_an_update_reach_slicer(scene, labels):
    node = labels_to_segmentation(labels, scene)
    labels_to_segmentation(labels, scene, node=node)
    image = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    seen = []
    node.GetSegmentation().AddObserver(
        slicer.vtkSegmentation.SourceRepresentationModified, lambda caller, event: seen.append(event)
    )
    image.Modified()
    assert seen


def test_update_redraws_a_surface_that_was_shown(scene):
    array = np.zeros((12, 12, 12), np.uint8)
    array[3:6, 3:6, 3:6] = 1
    grid = Geometry.from_spacing(array.shape)
    node = labels_to_segmentation(LabelMap(array, grid, (Segment(1, "a"),)), scene)
    assert node.CreateClosedSurfaceRepresentation()
    larger = np.zeros_like(array)
    larger[2:10, 2:10, 2:10] = 1
    labels_to_segmentation(LabelMap(larger, grid, (Segment(1, "a"), Segment(2, "b"))), scene, node=node)
    surface = node.GetSegmentation().GetSegment("Segment_1").GetRepresentation("Closed surface")
    assert surface.GetBounds()[1] > 8


def test_update_of_a_node_that_slicer_made(scene, labels):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    segment = slicer.vtkSegment()
    segment.SetName("ball")
    segment.AddRepresentation("Closed surface", sphere.GetOutput())
    assert node.GetSegmentation().AddSegment(segment, "ball")
    labels_to_segmentation(labels, scene, node=node)
    assert labels_from_segmentation(node).digest() == labels.digest()


def test_failed_update_leaves_the_node_untouched(scene, labels, volume):
    node = labels_to_segmentation(labels, scene)
    before, seen = node.GetSegmentation().GetMTime(), node.GetMTime()
    reference = volume_to_node(volume.replace(geometry=Geometry.from_spacing(volume.geometry.shape)), scene)
    with pytest.raises(GeometryError):
        labels_to_segmentation(labels, scene, reference=reference, node=node)
    with pytest.raises(SceneError, match="JSON"):
        labels_to_segmentation(labels, scene, node=node, provenance={"a": {1, 2}})
    bad = labels.replace(segments=(Segment(1, "a", type=Code("1", "SCT", "m")),))
    with pytest.raises(InputError):
        labels_to_segmentation(bad, scene, node=node)
    assert (node.GetSegmentation().GetMTime(), node.GetMTime()) == (before, seen)
    assert labels_from_segmentation(node).digest() == labels.digest()


def test_update_of_a_deleted_or_moved_node_is_refused(scene, labels):
    node = labels_to_segmentation(labels, scene)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(SceneError, match="under a transform"):
        labels_to_segmentation(labels, scene, node=node)
    scene.RemoveNode(node)
    with pytest.raises(SceneError, match="not in the scene any more"):
        labels_to_segmentation(labels, scene, node=node)


def test_a_clash_of_ids_gives_a_free_one(scene):
    grid = Geometry.from_spacing((2, 3, 4))
    first = LabelMap(np.ones(grid.shape, np.uint8), grid, (Segment(1, "old"),))
    node = labels_to_segmentation(first, scene)
    array = np.ones(grid.shape, np.uint8)
    array[0] = 2
    labels_to_segmentation(LabelMap(array, grid, (Segment(1, "new"), Segment(2, "old"))), scene, node=node)
    assert segment_ids(node) == {"new": "Segment_1_2", "old": "Segment_1"}
    assert labels_from_segmentation(node).mask(Segment(1, "new")).sum() == 12


def test_layers_hold_overlapping_segments(scene):
    grid = Geometry.from_spacing((2, 3, 4))
    low, high = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    low[0], high[:, 1] = 1, 2
    layers = (LabelMap(low, grid, (Segment(1, "low"),)), LabelMap(high, grid, (Segment(2, "high"),)))
    node = layers_to_segmentation(layers, scene)
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    back = layers_from_segmentation(node)
    assert [layer.digest() for layer in back] == [layer.digest() for layer in layers]


def test_bad_layers_are_refused(scene):
    grid = Geometry.from_spacing((2, 3, 4))
    one = LabelMap(np.ones(grid.shape, np.uint8), grid, (Segment(1, "a"),))
    for other, what in ((Segment(2, "a"), "name"), (Segment(1, "b"), "label")):
        array = np.full(grid.shape, other.label, np.uint8)
        with pytest.raises(InputError, match=f"same {what}"):
            layers_to_segmentation((one, LabelMap(array, grid, (other,))), scene)
    elsewhere = LabelMap(
        np.full(grid.shape, 2, np.uint8), Geometry.from_spacing(grid.shape, (2, 2, 2)), (Segment(2, "b"),)
    )
    with pytest.raises(GeometryError, match="layer"):
        layers_to_segmentation((one, elsewhere), scene)
    with pytest.raises(InputError, match="at least one layer"):
        layers_to_segmentation((), scene)


def test_flags_and_provenance(scene, labels, volume):
    flag = QCFlag("MASK_TINY", Severity.WARNING, "Three voxels.", affects="Plain")
    reference = volume_to_node(volume, scene)
    node = labels_to_segmentation(
        labels.replace(flags=(flag,)), scene, reference=reference, provenance={"model": "hippocampus"}
    )
    assert labels_from_segmentation(node).flags == (flag,)
    facts = provenance_of(node)
    assert facts["content_sha256"] == labels.digest()
    assert facts["input_sha256"] == volume.digest()
    assert facts["model"] == "hippocampus"
    told = labels_to_segmentation(labels, scene, reference=reference, provenance={"input_sha256": "abc"})
    assert provenance_of(told)["input_sha256"] == "abc"


def test_placed_beside_its_volume_in_the_subject_hierarchy(scene, labels, volume):
    reference = volume_to_node(volume, scene)
    node = labels_to_segmentation(labels, scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.CreateItem(study, reference)
    mine = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    labels_to_segmentation(labels, scene, reference=reference, node=node)
    assert hierarchy.GetItemParent(mine) == study
