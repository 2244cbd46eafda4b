"""Pictures lie in the patient as their letters say, whatever the image's axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.report.slices import PLANES, direction_letters, edge_letters, native_axes, picture_grid, sample

ROTATED = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
TILTED = ROTATED @ np.array([[1.0, 0.0, 0.0], [0.0, 0.936, -0.352], [0.0, 0.352, 0.936]])


def _axis_directions() -> list[np.ndarray]:
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            found.append(np.eye(3)[:, order] * np.asarray(signs))
    return found


def _phantom(direction: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, Geometry]:
    """Bright where the patient's right, front and head are, 60 mm in each direction around (10, 20, 30)."""
    size = [int(np.ceil(60.0 / s)) for s in spacing]
    shape = (size[2], size[1], size[0])
    grid = Geometry.from_spacing(shape, spacing, direction=direction)
    shift = np.array([10.0, 20.0, 30.0]) - grid.centre
    grid = Geometry.from_spacing(shape, spacing, tuple(shift), direction)
    k, j, i = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    ras = grid.to_ras(np.stack([i, j, k], axis=-1)) - np.array([10.0, 20.0, 30.0])
    return (np.all(ras > 2.0, axis=-1) & np.all(ras < 22.0, axis=-1)).astype(np.float32), grid


def test_radiological_letters() -> None:
    expected = {
        "axial": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
        "coronal": {"left": "R", "right": "L", "top": "S", "bottom": "I"},
        "sagittal": {"left": "A", "right": "P", "top": "S", "bottom": "I"},
    }
    assert {p.name: edge_letters(picture_grid((0, 0, 0), p.right, p.down, 100.0, 10)) for p in PLANES} == expected


@pytest.mark.parametrize("direction", [*_axis_directions(), ROTATED, TILTED, TILTED * [-1, 1, 1]], ids=lambda d: "")
def test_right_front_head_corner_is_where_the_letters_say(direction: np.ndarray) -> None:
    array, grid = _phantom(direction, (1.5, 1.0, 4.0))
    for plane in PLANES:
        picture = picture_grid((22.0, 32.0, 42.0), plane.right, plane.down, 40.0, 80)
        shown = sample(array, grid, picture, "linear", 0.0)
        rows, columns = np.nonzero(shown > 0.5)
        assert rows.size > 200
        # the block's middle is the picture's middle, and a picture moved to the block's right shows it on the left
        assert abs(rows.mean() - 39.5) < 4
        assert abs(columns.mean() - 39.5) < 4
        moved = picture_grid((10.0, 20.0, 42.0 if plane.axis == 2 else 30.0), plane.right, plane.down, 60.0, 60)
        if plane.axis != 2:
            centre = np.array([10.0, 20.0, 30.0])
            centre[plane.axis] += 12.0
            moved = picture_grid(centre, plane.right, plane.down, 60.0, 60)
        rows, columns = np.nonzero(sample(array, grid, moved, "linear", 0.0) > 0.5)
        letters = edge_letters(moved)
        assert rows.mean() < 29.5, letters  # top is A or S
        assert columns.mean() < 29.5, letters  # left is R or A


def test_pixels_are_square_in_millimetres() -> None:
    array, grid = _phantom(np.eye(3), (0.5, 1.0, 6.0))
    picture = picture_grid((22.0, 32.0, 42.0), PLANES[1].right, PLANES[1].down, 40.0, 80)
    rows, columns = np.nonzero(sample(array, grid, picture, "nearest", 0.0) > 0.5)
    assert picture.spacing == pytest.approx((0.5, 0.5, 0.5))
    assert np.ptp(columns) * 0.5 == pytest.approx(20.0, abs=1.0)
    assert np.ptp(rows) * 0.5 == pytest.approx(20.0, abs=6.0)


def test_cropping_does_not_change_the_picture() -> None:
    from medai.core.resample import resample_array

    rng = np.random.default_rng(3)
    grid = Geometry.from_spacing((20, 24, 28), (1.2, 0.8, 2.0), (5.0, -3.0, 2.0), TILTED)
    array = rng.normal(size=grid.shape).astype(np.float32)
    for plane in PLANES:
        for centre in (grid.centre, grid.corners()[0]):
            target = picture_grid(centre, plane.right, plane.down, 30.0, 40)
            whole = resample_array(array, grid, target, "linear", -9.0)[0]
            np.testing.assert_allclose(sample(array, grid, target, "linear", -9.0), whole, atol=1e-5)


def test_a_picture_beside_the_image_is_empty() -> None:
    grid = Geometry.from_spacing((4, 4, 4))
    target = picture_grid((100.0, 100.0, 100.0), PLANES[0].right, PLANES[0].down, 10.0, 8)
    assert (sample(np.ones((4, 4, 4), np.float32), grid, target, "linear", -1.0) == -1.0).all()


@pytest.mark.parametrize(
    ("vector", "letters"),
    [
        ((-1, 0, 0), "L"),
        ((0, 1, 0), "A"),
        ((0, 0, -2), "I"),
        ((0.6, 0.8, 0), "AR"),
        ((0.999, 0.04, 0), "R"),
        ((1, 1, 1), "RA"),
    ],
)
def test_letters_of_a_direction(vector: tuple[float, float, float], letters: str) -> None:
    assert direction_letters(vector) == letters


def test_one_slice_is_shown_in_its_own_plane() -> None:
    grid = Geometry.from_spacing((1, 30, 40), (0.5, 0.7, 5.0), direction=TILTED)
    plane, right, down = native_axes(grid)
    assert plane.name == "axial"
    letters = edge_letters(picture_grid(grid.centre, right, down, 20.0, 10))
    assert letters["left"][0] == "R"
    assert letters["top"][0] == "A"
    assert len(letters["left"]) == 2, "an oblique slice says how it leans"
    picture = picture_grid(grid.centre, right, down, 14.0, 28)
    full = sample(np.ones(grid.shape, np.float32), grid, picture, "linear", 0.0)
    assert (full == 1.0).all(), "every pixel lies in the slice"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_slice_along_any_axis(axis: int) -> None:
    shape = [20, 20, 20]
    shape[axis] = 1
    plane, right, down = native_axes(Geometry.from_spacing(tuple(shape)))
    assert plane.axis == 2 - axis
    assert tuple(right) == plane.right
    assert tuple(down) == plane.down


def test_a_sheared_grid_is_sampled_where_its_affine_says() -> None:
    matrix = np.eye(4)
    matrix[0, 2] = 0.5
    grid = Geometry((20, 20, 20), matrix)
    array = np.zeros(grid.shape, np.float32)
    array[8:13, 8:13, 8:13] = 1.0
    centre = grid.to_ras((10.0, 10.0, 12.0))
    picture = picture_grid(centre, PLANES[0].right, PLANES[0].down, 15.0, 60)
    rows, columns = np.nonzero(sample(array, grid, picture, "linear", 0.0) > 0.5)
    assert abs(rows.mean() - 29.5) < 1.0
    assert abs(columns.mean() - 29.5) < 1.0
