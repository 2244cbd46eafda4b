"""Surfaces of all segments in one pass: closed, in the right place, as large as the segments, and taken by Slicer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from vtk.util.numpy_support import vtk_to_numpy

from medai.core.errors import Cancelled, SceneError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.mrml import add_surfaces, labels_to_segmentation, layers_to_segmentation
from medai.mrml._slicer import BINARY_LABELMAP, CLOSED_SURFACE, register_converters

AXIAL = Geometry.from_spacing((24, 26, 30), (1.5, 0.8, 1.1), (5.0, -7.0, 12.0), np.eye(3))


def oblique(shape: tuple[int, int, int], mirrored: bool) -> Geometry:
    axes, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    if (np.linalg.det(axes) < 0) != mirrored:
        axes[:, 0] *= -1
    return Geometry.from_spacing(shape, (0.7, 1 / 3, 2.1), (1 / 7, -33.3, 12.0), axes)


def balls(geometry: Geometry, *balls: tuple[float, float, float, float]) -> np.ndarray:
    """Labels 1, 2, ... of balls given by centre (K, J, I) and radius in voxels."""
    array = np.zeros(geometry.shape, np.uint8)
    k, j, i = np.ogrid[tuple(slice(n) for n in geometry.shape)]
    for label, (a, b, c, radius) in enumerate(balls, start=1):
        array[(k - a) ** 2 + (j - b) ** 2 + (i - c) ** 2 < radius**2] = label
    return array


def surface(node: Any, name: str) -> Any:
    segmentation = node.GetSegmentation()
    return segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(name)).GetRepresentation(CLOSED_SURFACE)


def parts(poly: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) and triangles (T, 3)."""
    return vtk_to_numpy(poly.GetPoints().GetData()).astype(float), vtk_to_numpy(
        poly.GetPolys().GetConnectivityArray()
    ).reshape(-1, 3)


def enclosed(poly: Any) -> float:
    """Signed volume in mm3; negative if the triangles face inwards."""
    points, triangles = parts(poly)
    a, b, c = np.moveaxis(points[triangles] - points.mean(axis=0), 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def is_closed(poly: Any) -> bool:
    """Every edge is walked as often in one direction as in the other."""
    points, t = parts(poly)
    edges = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]).astype(np.int64)
    there, back = edges @ [len(points), 1], edges @ [1, len(points)]
    return bool(np.array_equal(np.sort(there), np.sort(back)))


@pytest.mark.parametrize(
    "geometry", [AXIAL, oblique((24, 26, 30), False), oblique((24, 26, 30), True)], ids=["axial", "oblique", "mirrored"]
)
def test_surfaces_enclose_their_segments(scene: Any, geometry: Geometry) -> None:
    array = balls(geometry, (11, 10, 9, 7.3), (12, 12, 20, 8.1))
    labels = LabelMap(array, geometry)
    node = labels_to_segmentation(labels, scene)
    assert add_surfaces(node) == 2
    for segment in labels.segments:
        poly = surface(node, segment.name)
        assert is_closed(poly)
        voxels = (array == segment.label).sum() * geometry.voxel_volume_mm3
        assert enclosed(poly) == pytest.approx(voxels, rel=0.01)
        points, _ = parts(poly)
        ijk = geometry.to_ijk(points)
        middle = np.argwhere(array == segment.label).mean(axis=0)[::-1]
        assert np.allclose((ijk.min(axis=0) + ijk.max(axis=0)) / 2, middle, atol=1.0)
        normals = vtk_to_numpy(poly.GetPointData().GetArray("Normals"))
        outwards = points - points.mean(axis=0)
        if segment.label == 2:  # the first ball has lost a cap to the second
            assert (np.einsum("ij,ij->i", normals, outwards) > 0).mean() > 0.99


def test_vertices_stay_at_the_border(scene: Any) -> None:
    array = balls(AXIAL, (11, 10, 9, 7.3), (12, 12, 20, 8.1))
    node = labels_to_segmentation(LabelMap(array, AXIAL), scene)
    add_surfaces(node)
    # Corners of voxels at which label 1 and something else meet: the only places where vertices may come from.
    inside = np.pad(array == 1, 1)
    count = sum(inside[a : a + 25, b : b + 27, c : c + 31].astype(int) for a in (0, 1) for b in (0, 1) for c in (0, 1))
    corners = np.argwhere((count > 0) & (count < 8))[:, ::-1] - 0.5
    ijk = AXIAL.to_ijk(parts(surface(node, "Label 1"))[0])
    far = np.abs(ijk[:, None] - corners[None]).max(axis=2).min(axis=1)
    assert far.max() <= 0.5 + 1e-4


def test_like_slicers_own_surfaces(scene: Any) -> None:
    array = balls(AXIAL, (11, 12, 12, 8.2))
    mine = labels_to_segmentation(LabelMap(array, AXIAL), scene)
    add_surfaces(mine)
    theirs = labels_to_segmentation(LabelMap(array, AXIAL), scene)
    register_converters()
    assert theirs.CreateClosedSurfaceRepresentation()
    poly, other = surface(mine, "Label 1"), surface(theirs, "Label 1")
    assert enclosed(poly) == pytest.approx(enclosed(other), rel=0.02)
    assert np.allclose(poly.GetBounds(), other.GetBounds(), atol=0.75)
    assert poly.GetPointData().GetArray("Normals").GetNumberOfComponents() == 3


def test_neighbours_share_their_border(scene: Any) -> None:
    array = np.zeros(AXIAL.shape, np.uint8)
    array[5:15, 5:15, 5:12], array[5:15, 5:15, 12:20] = 1, 2
    node = labels_to_segmentation(LabelMap(array, AXIAL), scene)
    add_surfaces(node)
    first, second = ({tuple(p) for p in parts(surface(node, f"Label {n}"))[0]} for n in (1, 2))
    assert len(first & second) == 11 * 11


def test_slicer_does_not_compute_them_again(scene: Any) -> None:
    node = labels_to_segmentation(LabelMap(balls(AXIAL, (11, 10, 9, 6)), AXIAL), scene)
    add_surfaces(node)
    poly = surface(node, "Label 1")
    register_converters()
    assert node.CreateClosedSurfaceRepresentation()
    assert surface(node, "Label 1") is poly
    assert node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
    assert node.GetSegmentation().GetSourceRepresentationName() == BINARY_LABELMAP


def test_segments_at_the_image_border_are_closed(scene: Any) -> None:
    array = np.ones(AXIAL.shape, np.uint8)
    node = labels_to_segmentation(LabelMap(array, AXIAL), scene)
    add_surfaces(node, smoothing=0.0)
    poly = surface(node, "Label 1")
    assert is_closed(poly)
    assert enclosed(poly) == pytest.approx(array.size * AXIAL.voxel_volume_mm3, rel=1e-5)


def test_more_smoothing_gives_less_area(scene: Any) -> None:
    node = labels_to_segmentation(LabelMap(balls(AXIAL, (11, 12, 12, 8.2)), AXIAL), scene)
    areas = []
    for smoothing in (0.0, 0.3, 0.7):
        add_surfaces(node, smoothing=smoothing)
        a, b, c = np.moveaxis(np.take(*parts(surface(node, "Label 1")), axis=0), 1, 0)
        areas.append(float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2))
    assert areas[0] > areas[1] > areas[2]


def test_the_nodes_own_smoothing_is_used(scene: Any) -> None:
    node = labels_to_segmentation(LabelMap(balls(AXIAL, (11, 12, 12, 8.2)), AXIAL), scene)
    node.GetSegmentation().SetConversionParameter("Smoothing factor", "0.0")
    add_surfaces(node)
    ijk = AXIAL.to_ijk(parts(surface(node, "Label 1"))[0])
    assert np.allclose(ijk % 1, 0.5, atol=1e-3)


def test_overlapping_layers_and_empty_segments(scene: Any) -> None:
    first = LabelMap(balls(AXIAL, (11, 10, 9, 6)), AXIAL, (Segment(1, "a"), Segment(7, "empty")))
    second = LabelMap(balls(AXIAL, (11, 10, 11, 6)) * np.uint8(2), AXIAL, (Segment(2, "b"),))
    node = layers_to_segmentation((first, second), scene)
    assert add_surfaces(node) == 2
    assert surface(node, "empty").GetNumberOfPoints() == 0
    for name, layer in (("a", first), ("b", second)):
        voxels = np.count_nonzero(layer.array) * AXIAL.voxel_volume_mm3
        assert enclosed(surface(node, name)) == pytest.approx(voxels, rel=0.01)


def test_large_labels_and_an_empty_image(scene: Any) -> None:
    array = balls(AXIAL, (11, 10, 9, 6)).astype(np.uint16) * 40000
    node = labels_to_segmentation(LabelMap(array, AXIAL), scene)
    assert add_surfaces(node) == 1
    empty = labels_to_segmentation(LabelMap(np.zeros(AXIAL.shape, np.uint8), AXIAL, (Segment(1, "none"),)), scene)
    assert add_surfaces(empty) == 0
    assert surface(empty, "none").GetNumberOfPoints() == 0


def test_new_content_gets_new_surfaces(scene: Any) -> None:
    small = LabelMap(balls(AXIAL, (11, 10, 9, 4)), AXIAL)
    node = labels_to_segmentation(small, scene)
    add_surfaces(node)
    large = LabelMap(balls(AXIAL, (11, 12, 12, 9)), AXIAL)
    labels_to_segmentation(large, scene, node=node)
    voxels = np.count_nonzero(large.array) * AXIAL.voxel_volume_mm3
    assert enclosed(surface(node, "Label 1")) == pytest.approx(voxels, rel=0.01)


def test_refusals_and_cancel_leave_the_node_alone(scene: Any) -> None:
    node = labels_to_segmentation(LabelMap(balls(AXIAL, (11, 10, 9, 4)), AXIAL), scene)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        add_surfaces(node, cancel=token)
    with pytest.raises(SettingsError, match="from 0 to 1"):
        add_surfaces(node, smoothing=1.5)
    assert not node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
    node.GetSegmentation().GetNthSegment(0).RemoveAllRepresentations()
    with pytest.raises(SceneError, match="no voxels"):
        add_surfaces(node)


def test_progress_rises_to_one(scene: Any) -> None:
    node = labels_to_segmentation(LabelMap(balls(AXIAL, (11, 10, 9, 4)), AXIAL), scene)
    told: list[float] = []
    add_surfaces(node, progress=lambda fraction, _message="": told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0
