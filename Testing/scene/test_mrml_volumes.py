"""medai.mrml.volumes: volume nodes to Volume values and back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer
import vtk

from medai.core.errors import GeometryError, SceneError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume
from medai.mrml import provenance_of, volume_from_node, volume_geometry, volume_to_node
from medai.mrml.arrays import from_image, from_matrix, to_matrix

GRID = Geometry.from_spacing((2, 3, 4), (0.5, 0.75, 2.0), (10.0, -20.0, 30.0))
KEPT = ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]


def linear(scene, matrix):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(to_matrix(matrix))
    return node


def test_round_trip_is_exact(scene, volume):
    node = volume_to_node(volume, scene)
    back = volume_from_node(node)
    assert np.array_equal(back.array, volume.array)
    assert back.array.dtype == volume.array.dtype
    assert back.geometry == volume.geometry
    assert back.digest() == volume.digest()
    assert (back.modality, back.unit, back.name, dict(back.meta)) == ("MR", "", "head", dict(volume.meta))


def test_works_in_a_bare_scene(volume):
    scene = slicer.vtkMRMLScene()
    slicer.vtkMRMLColorLogic().SetMRMLScene(scene)
    assert volume_from_node(volume_to_node(volume, scene)).digest() == volume.digest()


@pytest.mark.parametrize("kind", KEPT)
def test_kept_types_hold_their_extremes(scene, kind):
    info = np.finfo(kind) if kind.startswith("f") else np.iinfo(kind)
    array = np.full(GRID.shape, info.max, kind)
    array[0, 0, 0] = info.min
    back = volume_from_node(volume_to_node(Volume(array, GRID), scene)).array
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0, 1], "bool", "uint8"),
        ([-128, 127], "int8", "int16"),
        ([0.5, -65504.0], "float16", "float32"),
        ([-(2**31), 2**31 - 1], "int64", "int32"),
        ([0, 2**32 - 1], "int64", "uint32"),
        ([0, 2**32 - 1], "uint64", "uint32"),
        ([-(2**53), 2**40], "int64", "float64"),
        ([0, 2**53], "uint64", "float64"),
        ([1, -2], ">i2", "int16"),
        ([1.5, -2.0], ">f8", "float64"),
    ],
)
def test_other_types_are_converted_without_loss(scene, values, kind, expected):
    array = np.full(GRID.shape, values[0], kind)
    array[-1, -1, -1] = values[1]
    back = volume_from_node(volume_to_node(Volume(array, GRID), scene)).array
    assert back.dtype == np.dtype(expected)
    assert back.flat[0] == values[0]
    assert back.flat[-1] == values[1]


@pytest.mark.parametrize(("value", "kind"), [(2**53 + 1, "int64"), (2**64 - 1, "uint64"), (-(2**53) - 1, "int64")])
def test_types_that_cannot_be_stored_exactly_are_refused(scene, value, kind):
    before = scene.GetNumberOfNodes()
    with pytest.raises(UnsupportedInput, match="cannot store exactly"):
        volume_to_node(Volume(np.full(GRID.shape, value, kind), GRID), scene)
    assert scene.GetNumberOfNodes() == before


def test_nan_and_infinity_survive_and_do_not_spoil_the_window(scene):
    array = np.linspace(0, 1000, 24, dtype=np.float32).reshape(GRID.shape)
    array.flat[:3] = np.nan, np.inf, -np.inf
    node = volume_to_node(Volume(array, GRID), scene)
    assert np.array_equal(volume_from_node(node).array, array, equal_nan=True)
    display = node.GetDisplayNode()
    assert 0 < display.GetWindowLevelMin() < display.GetWindowLevelMax() <= 1000


def test_values_are_copied_in_both_directions(scene):
    array = np.zeros(GRID.shape, np.int16)
    node = volume_to_node(Volume(array, GRID), scene)
    array[:] = 5
    first = volume_from_node(node)
    assert first.array.max() == 0
    from_image(node.GetImageData())[:] = 7
    assert first.array.max() == 0
    assert volume_from_node(node).array.min() == 7


def test_a_marked_voxel_lies_where_slicer_says(scene, oblique):
    array = np.zeros(oblique.shape, np.uint8)
    array[3, 1, 5] = 1
    node = volume_to_node(Volume(array, oblique), scene)
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    assert np.allclose(matrix.MultiplyPoint((5, 1, 3, 1))[:3], oblique.to_ras((5, 1, 3)), atol=1e-12)
    assert node.GetImageData().GetScalarComponentAsDouble(5, 1, 3, 0) == 1


@pytest.mark.parametrize(("components", "kind", "name"), [(3, "uint8", "colorRGB"), (4, "uint8", "colorRGBA")])
def test_colour_volumes(scene, components, kind, name):
    array = np.random.default_rng(1).integers(0, 255, (*GRID.shape, components)).astype(kind)
    node = volume_to_node(Volume(array, GRID), scene)
    assert node.GetClassName() == "vtkMRMLVectorVolumeNode"
    assert node.GetVoxelVectorTypeAsString(node.GetVoxelVectorType()) == name
    assert node.GetDisplayNode().IsA("vtkMRMLVectorVolumeDisplayNode")
    assert np.array_equal(volume_from_node(node).array, array)


def test_vector_volumes_that_are_no_colour(scene):
    array = np.random.default_rng(1).normal(size=(*GRID.shape, 5))
    node = volume_to_node(Volume(array, GRID), scene)
    assert node.GetVoxelVectorType() == node.VoxelVectorTypeUndefined
    assert np.array_equal(volume_from_node(node).array, array)


def test_one_component_last_becomes_a_scalar_volume(scene):
    array = np.arange(24, dtype=np.int16).reshape((*GRID.shape, 1))
    node = volume_to_node(Volume(array, GRID), scene)
    assert node.GetClassName() == "vtkMRMLScalarVolumeNode"
    assert np.array_equal(volume_from_node(node).array, array[..., 0])


def test_a_single_slice(scene):
    array = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    volume = Volume(array, Geometry.from_spacing((1, 3, 4)))
    assert volume_from_node(volume_to_node(volume, scene)).digest() == volume.digest()


def test_a_label_map_volume_can_be_read_as_a_volume(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 3, 2)
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    from_image(image)[:] = 3
    node.SetAndObserveImageData(image)
    assert volume_from_node(node).array.tolist() == np.full(GRID.shape, 3).tolist()


def test_an_extent_that_does_not_start_at_zero(scene):
    image = vtk.vtkImageData()
    image.SetExtent(5, 8, -2, 0, 1, 2)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    from_image(image)[:] = 0
    image.SetScalarComponentFromDouble(6, -1, 2, 0, 9.0)
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetIJKToRASMatrix(to_matrix(GRID.ijk_to_ras))
    node.SetAndObserveImageData(image)
    volume = volume_from_node(node)
    k, j, i = np.argwhere(volume.array == 9)[0]
    assert np.allclose(volume.geometry.to_ras((i, j, k)), GRID.to_ras((6, -1, 2)))


@pytest.mark.parametrize(
    ("modality", "unit", "quantity", "code"),
    [
        ("CT", "[hnsf'U]", "112031", "[hnsf'U]"),
        ("MR", "", "110852", None),
        ("PT", "{SUVbw}g/ml", "126401", "{SUVbw}g/ml"),
        ("US", "mm2/s", None, "mm2/s"),
        ("", "", None, None),
    ],
)
def test_modality_and_unit(scene, modality, unit, quantity, code):
    node = volume_to_node(Volume(np.zeros(GRID.shape, np.int16), GRID, modality, unit), scene)
    back = volume_from_node(node)
    assert (back.modality, back.unit) == (modality, unit)
    for entry, value in ((node.GetVoxelValueQuantity(), quantity), (node.GetVoxelValueUnits(), code)):
        assert (entry.GetCodeValue() if entry is not None else None) == value


def test_modality_of_a_volume_that_slicer_loaded_from_dicom(scene):
    node = volume_to_node(Volume(np.zeros(GRID.shape, np.int16), GRID), scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert volume_from_node(node).modality == "MR"


def test_unit_set_in_slicer_wins(scene):
    node = volume_to_node(Volume(np.zeros(GRID.shape, np.int16), GRID, "CT", "[hnsf'U]"), scene)
    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning("1", "UCUM", "no units")
    node.SetVoxelValueUnits(entry)
    assert volume_from_node(node).unit == ""


def test_windows(scene):
    array = np.linspace(-1000, 3000, 24).reshape(GRID.shape)
    display = volume_to_node(Volume(array, GRID, "CT", "[hnsf'U]"), scene).GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (400.0, 40.0)
    constant = volume_to_node(Volume(np.full(GRID.shape, 7, np.uint8), GRID), scene).GetDisplayNode()
    assert (constant.GetWindow(), constant.GetLevel()) == (1.0, 7.0)
    hot = np.full(GRID.shape, 100.0)
    hot.flat[1::2] = 200.0
    big = np.tile(hot, (40, 40, 40))
    big[0, 0, 0] = 1.7e6
    grid = Geometry.from_spacing(big.shape)
    assert volume_to_node(Volume(big, grid), scene).GetDisplayNode().GetWindowLevelMax() == 200.0
    lone = np.zeros(GRID.shape)
    lone.flat[0] = 3.0
    mostly_flat = volume_to_node(Volume(np.tile(lone, (40, 1, 1)), Geometry.from_spacing((80, 3, 4))), scene)
    assert mostly_flat.GetDisplayNode().GetWindow() > 0
    nothing = volume_to_node(Volume(np.full(GRID.shape, np.nan), GRID), scene).GetDisplayNode()
    assert nothing.GetWindow() == 1.0


def test_flags_travel_with_the_node(scene, volume):
    flag = QCFlag("GEOM_MISSING_SLICE", Severity.ERROR, 'A slice is missing; "é".', 2.75, 2.5)
    node = volume_to_node(volume.with_flags(flag), scene)
    assert volume_from_node(node).flags == (flag,)
    node.SetAttribute("MedAI.QC", "[{")
    with pytest.raises(SceneError, match="quality flags"):
        volume_from_node(node)


def test_a_moved_node_does_not_keep_the_remembered_grid(scene, volume):
    node = volume_to_node(volume, scene)
    node.SetOrigin(1.0, 2.0, 3.0)
    assert volume_from_node(node).geometry.origin == (1.0, 2.0, 3.0)


def test_transform_is_refused_unless_asked_for(scene, volume):
    node = volume_to_node(volume, scene)
    angle = 0.3
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = 5, -6, 7
    node.SetAndObserveTransformNodeID(linear(scene, matrix).GetID())
    with pytest.raises(SceneError, match="under a transform"):
        volume_from_node(node)
    before = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(before)
    hardened = volume_from_node(node, transform="harden")
    after = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(after)
    assert np.array_equal(from_matrix(before), from_matrix(after))
    assert node.GetParentTransformNode() is not None
    node.HardenTransform()  # Slicer's own, as the reference
    assert volume_from_node(node).geometry.same_as(hardened.geometry, 1e-9)
    assert np.array_equal(volume_from_node(node).array, hardened.array)


def test_nested_transforms_are_all_applied(scene, volume):
    node = volume_to_node(volume, scene)
    inner, outer = np.eye(4), np.eye(4)
    inner[0, 3], outer[1, 3] = 10, 20
    child, parent = linear(scene, inner), linear(scene, outer)
    child.SetAndObserveTransformNodeID(parent.GetID())
    node.SetAndObserveTransformNodeID(child.GetID())
    moved = volume_geometry(node, transform="harden")
    assert np.allclose(np.asarray(moved.origin) - volume.geometry.origin, (10, 20, 0))


def test_identity_transform_is_no_question(scene, volume):
    node = volume_to_node(volume, scene)
    node.SetAndObserveTransformNodeID(linear(scene, np.eye(4)).GetID())
    assert volume_from_node(node).digest() == volume.digest()


def test_warping_transform_is_refused(scene, volume):
    node = volume_to_node(volume, scene)
    warp = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for n in range(4):
        points.InsertNextPoint(n, n * n, 1)
        moved.InsertNextPoint(n + 0.1 * n, n * n, 2)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(moved)
    warp.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(warp.GetID())
    for choice in ("error", "harden"):
        with pytest.raises(SceneError, match="not linear"):
            volume_from_node(node, transform=choice)


def test_singular_hardened_grid_is_refused(scene, volume):
    node = volume_to_node(volume, scene)
    node.SetAndObserveTransformNodeID(linear(scene, np.diag([1.0, 1.0, 0.0, 1.0])).GetID())
    with pytest.raises(GeometryError):
        volume_from_node(node, transform="harden")


@pytest.mark.parametrize("wrong", [None, 3, "vtkMRMLScalarVolumeNode1"])
def test_what_is_no_node_is_refused(wrong):
    with pytest.raises(SceneError, match="volume is needed"):
        volume_from_node(wrong)


def test_wrong_and_empty_nodes_are_refused(scene):
    with pytest.raises(SceneError, match="given vtkMRMLTableNode"):
        volume_from_node(scene.AddNewNodeByClass("vtkMRMLTableNode"))
    with pytest.raises(SceneError, match="no voxels"):
        volume_from_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))
    tensors = scene.AddNewNodeByClass("vtkMRMLDiffusionTensorVolumeNode")
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 2)
    tensors.SetAndObserveImageData(image)
    with pytest.raises(UnsupportedInput, match="no scalars"):
        volume_from_node(tensors)


@pytest.mark.parametrize("wrong", [None, "scene", 5])
def test_what_is_no_scene_is_refused(volume, wrong):
    with pytest.raises(SceneError, match="MRML scene is needed"):
        volume_to_node(volume, wrong)


def test_names(scene, volume):
    assert volume_to_node(volume, scene).GetName() == "head"
    assert volume_to_node(volume, scene).GetName() != "head"
    assert volume_to_node(volume, scene, "é <b>").GetName() == "é <b>"
    assert volume_to_node(volume.replace(name=""), scene).GetName() == "Volume"


def test_update_in_one_modification(scene, volume, oblique):
    node = volume_to_node(volume, scene)
    other = Volume(np.ones(GRID.shape, np.uint16), GRID, "CT", "[hnsf'U]", "other")
    events = []
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: events.append(event))
    count = scene.GetNumberOfNodes()
    assert volume_to_node(other, scene, node=node) is node
    node.RemoveObserver(tag)
    assert len(events) == 1
    assert scene.GetNumberOfNodes() == count
    back = volume_from_node(node)
    assert back.digest() == other.digest()
    assert (back.modality, back.unit, back.name) == ("CT", "[hnsf'U]", "head")
    assert dict(back.meta) == {}


def test_failed_update_leaves_the_node_untouched(scene, volume):
    node = volume_to_node(volume, scene)
    seen = node.GetMTime()
    for bad in (
        volume.replace(array=np.full(volume.array.shape, 2**60, np.int64) + 1),
        volume.replace(array=np.zeros((*volume.array.shape, 3), np.uint8)),
    ):
        with pytest.raises((UnsupportedInput, SceneError)):
            volume_to_node(bad, scene, node=node)
    with pytest.raises(SceneError, match="JSON"):
        volume_to_node(volume, scene, node=node, provenance={"x": float("nan")})
    assert node.GetMTime() == seen
    assert volume_from_node(node).digest() == volume.digest()


def test_update_of_a_deleted_or_moved_node_is_refused(scene, volume):
    node = volume_to_node(volume, scene)
    node.SetAndObserveTransformNodeID(linear(scene, np.diag([2.0, 1, 1, 1])).GetID())
    with pytest.raises(SceneError, match="under a transform"):
        volume_to_node(volume, scene, node=node)
    scene.RemoveNode(node)
    with pytest.raises(SceneError, match="not in the scene any more"):
        volume_to_node(volume, scene, node=node)


def test_nothing_is_left_behind_when_adding_fails(scene, volume):
    before = scene.GetNumberOfNodes()
    with pytest.raises(SceneError):
        volume_to_node(volume, scene, provenance={"when": object()})
    assert scene.GetNumberOfNodes() == before


def test_provenance(scene, volume):
    facts = provenance_of(volume_to_node(volume, scene, provenance={"source": "T1"}))
    assert facts["content_sha256"] == volume.digest()
    assert facts["source"] == "T1"
    assert facts["intended_use"] == "Research use only"
