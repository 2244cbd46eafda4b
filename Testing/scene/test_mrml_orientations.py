"""Orientation: all 48 axis orders and flips, oblique and left-handed grids, through nodes and files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer
import vtk

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.mrml import labels_from_segmentation, labels_to_segmentation, volume_from_node, volume_to_node
from medai.mrml.arrays import from_image, from_matrix

SHAPE = (3, 4, 5)
MARK = (2, 1, 3)  # K, J, I
ALL_48 = [
    np.diag(signs)[:, list(order)]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def grid(direction):
    return Geometry.from_spacing(SHAPE, (0.9, 1.1, 2.3), (11.0, -7.0, 3.0), direction)


def image(geometry):
    array = np.arange(60, dtype=np.int16).reshape(SHAPE)
    array[MARK] = 1000
    return Volume(array, geometry)


def marked(geometry):
    array = np.zeros(SHAPE, np.uint8)
    array[MARK] = 1
    return LabelMap(array, geometry, (Segment(1, "mark"),))


def ras_of_brightest(node):
    """Where the brightest voxel of a volume node lies, by VTK and Slicer alone."""
    data, best, where = node.GetImageData(), -np.inf, None
    for k, j, i in itertools.product(*(range(n) for n in data.GetDimensions()[::-1])):
        value = data.GetScalarComponentAsDouble(i, j, k, 0)
        if value > best:
            best, where = value, (i, j, k)
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix.MultiplyPoint((*where, 1.0))[:3]


def expected_ras(geometry):
    """The mark's place from the header's parts, without the affine code under test."""
    k, j, i = MARK
    direction, spacing = geometry.direction, geometry.spacing
    steps = i * spacing[0] * direction[:, 0] + j * spacing[1] * direction[:, 1] + k * spacing[2] * direction[:, 2]
    return np.asarray(geometry.origin) + steps


@pytest.mark.parametrize("direction", ALL_48, ids=lambda d: Geometry.from_spacing(SHAPE, direction=d).orientation)
def test_all_orientations(scene, direction):
    geometry = grid(direction)
    volume, labels = image(geometry), marked(geometry)
    node = volume_to_node(volume, scene)
    assert volume_from_node(node).digest() == volume.digest()
    assert np.allclose(ras_of_brightest(node), expected_ras(geometry), atol=1e-12)
    segmentation = labels_to_segmentation(labels, scene, reference=node)
    assert labels_from_segmentation(segmentation).digest() == labels.digest()
    assert labels_from_segmentation(segmentation, node).digest() == labels.digest()
    bounds = np.zeros(6)
    segmentation.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap").GetBounds(bounds)
    out = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(
        segmentation, out, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    assert np.array_equal(from_image(out.GetImageData()), labels.array)
    assert np.allclose(ras_of_brightest(out), expected_ras(geometry), atol=1e-9)


def test_all_orientations_survive_a_scene_file(session, tmp_path):
    geometries = [grid(direction) for direction in ALL_48]
    for number, geometry in enumerate(geometries):
        node = volume_to_node(image(geometry), session.scene, f"v{number}")
        labels_to_segmentation(marked(geometry), session.scene, f"s{number}", reference=node)
    session.save(tmp_path / "all.mrb")
    session.load(tmp_path / "all.mrb")
    for number, geometry in enumerate(geometries):
        node = session.scene.GetFirstNodeByName(f"v{number}")
        segmentation = session.scene.GetFirstNodeByName(f"s{number}")
        assert volume_from_node(node).digest() == image(geometry).digest(), geometry.orientation
        assert labels_from_segmentation(segmentation, node).digest() == marked(geometry).digest(), geometry.orientation
        assert np.allclose(ras_of_brightest(node), expected_ras(geometry), atol=1e-9)


def test_oblique_left_handed_grid_survives_a_scene_file(session, tmp_path, volume, labels):
    node = volume_to_node(volume, session.scene)
    labels_to_segmentation(labels, session.scene, reference=node)
    session.save(tmp_path / "o.mrb")
    session.load(tmp_path / "o.mrb")
    node = session.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = session.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    assert np.allclose(from_matrix(matrix), volume.geometry.ijk_to_ras, atol=1e-9)
    assert volume_from_node(node).digest() == volume.digest()
    assert labels_from_segmentation(segmentation).digest() == labels.digest()


def test_a_volume_that_slicer_turned_right_handed_still_fits_its_labels(session, tmp_path, volume, labels):
    node = volume_to_node(volume, session.scene)
    labels_to_segmentation(labels, session.scene, reference=node)
    node.GetStorageNode().SetForceRightHandedIJKCoordinateSystem(True)  # what Slicer does with files of others
    session.save(tmp_path / "r.mrb")
    session.load(tmp_path / "r.mrb")
    node = session.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = session.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    turned = volume_from_node(node)
    assert turned.geometry.is_right_handed
    assert not volume.geometry.is_right_handed
    back = labels_from_segmentation(segmentation, node)
    for segment in labels.segments:
        before = volume.array[labels.mask(segment)]
        assert np.array_equal(np.sort(turned.array[back.mask(segment)]), np.sort(before))


def test_rounding_does_not_change_the_digest(scene):
    rng = np.random.default_rng(11)
    for _ in range(50):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        geometry = Geometry.from_spacing(SHAPE, tuple(rng.uniform(0.2, 5, 3)), tuple(rng.normal(0, 100, 3)), axes)
        volume = image(geometry)
        assert volume_from_node(volume_to_node(volume, scene)).digest() == volume.digest()


def test_sheared_grid_survives_nodes(scene):
    matrix = grid(np.eye(3)).ijk_to_ras.copy()
    matrix[0, 1] = 0.4
    geometry = Geometry(SHAPE, matrix)
    assert volume_from_node(volume_to_node(image(geometry), scene)).digest() == image(geometry).digest()
    node = labels_to_segmentation(marked(geometry), scene)
    assert labels_from_segmentation(node).digest() == marked(geometry).digest()
