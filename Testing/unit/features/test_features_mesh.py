"""The mesh that is never stored has the numbers of the mesh that is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medai.core.errors import Cancelled
from medai.core.progress import CancelToken
from medai.features.mesh import largest_distance, outer_vertices, surface

masks = hnp.arrays(
    np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5), elements=st.booleans()
).filter(np.any)


def whole_mesh(mask: np.ndarray, spacing: tuple[float, float, float]) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Area, volume, vertices (mm) and faces of the mesh of a whole mask, straight from scikit-image."""
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5)
    points = (vertices.astype(np.float64) - 1) * spacing
    a, b, c = (points[faces[:, n]] for n in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    return float(area), abs(float((a * np.cross(b, c)).sum() / 6)), points, faces


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 1.0])
def test_equals_the_stored_mesh(rng: np.random.Generator, share: float) -> None:
    mask = rng.random((9, 7, 8)) < share
    spacing = (3.0, 0.5, 1.25)
    area, volume, _, _ = whole_mesh(mask, spacing)
    found = surface(mask, spacing)
    assert found.area == pytest.approx(area, rel=1e-12)
    assert found.volume == pytest.approx(volume, rel=1e-10)


@given(masks)
@settings(max_examples=60, deadline=None)
def test_equals_the_stored_mesh_of_tiny_masks(mask: np.ndarray) -> None:
    area, volume, points, _ = whole_mesh(mask, (2.0, 1.0, 0.5))
    found = surface(mask, (2.0, 1.0, 0.5))
    assert found.area == pytest.approx(area, rel=1e-9)
    assert found.volume == pytest.approx(volume, rel=1e-9)
    farthest = max(float(np.linalg.norm(points - p, axis=1).max()) for p in points)
    assert largest_distance(outer_vertices(mask) * (2.0, 1.0, 0.5)) == pytest.approx(farthest, rel=1e-6)


def test_the_mesh_is_closed(rng: np.random.Generator) -> None:
    """Every edge is walked as often in one direction as in the other, so the volume does not depend on the origin."""
    for share in (0.2, 0.5, 0.8):
        _, _, _, faces = whole_mesh(rng.random((8, 8, 8)) < share, (1.0, 1.0, 1.0))
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
        size = int(edges.max()) + 1
        there, back = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
        assert sorted(there.tolist()) == sorted(back.tolist())


def test_one_voxel_is_an_octahedron() -> None:
    found = surface(np.ones((1, 1, 1), bool), (2.0, 2.0, 2.0))
    assert found.volume == pytest.approx(8 / 6)
    assert found.area == pytest.approx(8 * np.sqrt(3) / 4 * 2)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_does_not_depend_on_the_orientation(rng: np.random.Generator, axes: tuple[int, int, int]) -> None:
    mask = rng.random((6, 7, 8)) < 0.5
    spacing = np.array([3.0, 1.0, 0.7])
    expected = surface(mask, tuple(spacing))
    longest = largest_distance(outer_vertices(mask) * spacing)
    for flips in itertools.product((1, -1), repeat=3):
        turned = mask.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
        found = surface(turned, tuple(spacing[list(axes)]))
        assert found.area == pytest.approx(expected.area, rel=1e-12)
        assert found.volume == pytest.approx(expected.volume, rel=1e-10)
        assert largest_distance(outer_vertices(turned) * spacing[list(axes)]) == pytest.approx(longest, rel=1e-12)


def test_few_vertices_of_a_box_are_compared() -> None:
    """A box has flat faces: only the vertices around its corners are candidates, however large it is."""
    assert len(outer_vertices(np.ones((40, 50, 60), bool))) == 3 * 8


@pytest.mark.parametrize("squash", [1.0, 0.3])
def test_largest_distance_of_many_corners(rng: np.random.Generator, squash: float) -> None:
    """More corners of the hull than are compared at once."""
    points = rng.normal(size=(2500, 3))
    points = points / np.linalg.norm(points, axis=1, keepdims=True) * (1.0, 1.0, squash)
    expected = max(float(np.linalg.norm(points - p, axis=1).max()) for p in points)
    assert largest_distance(points) == expected
    shuffled = rng.permutation(points) + 100.0
    assert largest_distance(shuffled) == pytest.approx(expected, rel=1e-12)


def test_cancel_between_slices() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        surface(np.ones((3, 3, 3), bool), (1.0, 1.0, 1.0), cancel=token)
