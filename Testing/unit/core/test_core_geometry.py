"""medai.core.geometry: every orientation, oblique, left-handed and sheared grids, against first principles."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medai.core.errors import GeometryError
from medai.core.geometry import Geometry

SHAPE = (3, 4, 5)
SPACING = (0.7, 1.1, 2.5)
AXES = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product((1, -1), repeat=3))
LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


def rotation(degrees: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    x, y, z = np.deg2rad(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)


TWISTS = {
    "straight": np.eye(3),
    "oblique": rotation((11.0, -7.0, 19.0)),
    "sheared": np.array([[1, 0, 0], [0, 1, 0.2], [0, 0, np.sqrt(1 - 0.04)]]),
}


class Grid(NamedTuple):
    twist: str
    axes: tuple[int, ...]
    signs: tuple[int, ...]
    geometry: Geometry


def make(axes: tuple[int, ...], signs: tuple[int, ...], twist: npt.NDArray[np.float64]) -> Geometry:
    """Return a grid whose I, J, K run along RAS axes ``axes`` in the directions ``signs``, then twisted."""
    direction = np.zeros((3, 3))
    for column in range(3):
        direction[axes[column], column] = signs[column]
    return Geometry.from_spacing(SHAPE, SPACING, (-12.5, 33.0, 7.25), twist @ direction)


def voxels(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return the RAS position of every voxel, shape (K, J, I, 3), without using Geometry's own mapping."""
    k, j, i = np.indices(geometry.shape)
    m = geometry.ijk_to_ras
    rows = [m[r, 0] * i + m[r, 1] * j + m[r, 2] * k + m[r, 3] for r in range(3)]
    return np.stack(rows, axis=-1)


@pytest.fixture(params=list(itertools.product(TWISTS, AXES)), ids=lambda p: f"{p[0]}-{p[1][0]}{p[1][1]}{p[1][2]}")
def grids(request: pytest.FixtureRequest) -> list[Grid]:
    """The eight grids of one axis order under one twist; the parameters together give all 48 orientations of each."""
    name, axes = request.param
    return [Grid(name, axes, signs, make(axes, signs, TWISTS[name])) for signs in SIGNS]


def test_orientation_letters(grids: list[Grid]) -> None:
    for _, axes, signs, grid in grids:
        assert grid.orientation == "".join(LETTERS[a][s > 0] for a, s in zip(axes, signs, strict=True))
        assert grid.axis_map == tuple(zip(axes, signs, strict=True))


def test_spacing_handedness_and_volume(grids: list[Grid]) -> None:
    for twist, axes, signs, grid in grids:
        swaps = sum(axes[a] > axes[b] for a, b in ((0, 1), (0, 2), (1, 2)))
        assert grid.spacing == pytest.approx(SPACING)
        assert grid.spacing_kji == pytest.approx(SPACING[::-1])
        assert grid.is_right_handed is bool(np.prod(signs) * (-1) ** swaps > 0)
        assert grid.is_sheared is (twist == "sheared")
        assert grid.is_oblique is (twist != "straight")
        box = np.prod(SPACING) * (np.sqrt(0.96) if twist == "sheared" else 1.0)
        assert grid.voxel_volume_mm3 == pytest.approx(box)


def test_to_ras_and_back(grids: list[Grid]) -> None:
    k, j, i = np.indices(SHAPE)
    indices = np.stack([i, j, k], axis=-1)
    for *_, grid in grids:
        assert np.allclose(grid.to_ras(indices), voxels(grid), atol=1e-9)
        assert np.allclose(grid.to_ijk(voxels(grid)), indices, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flip_moves_no_voxel(grids: list[Grid], axis: int) -> None:
    for *_, grid in grids:
        flipped = grid.flip(axis)
        assert np.allclose(voxels(flipped), np.flip(voxels(grid), axis), atol=1e-9)
        assert flipped.is_right_handed is not grid.is_right_handed
        assert flipped.flip(axis).same_as(grid, 1e-9)


def test_transpose_moves_no_voxel(grids: list[Grid]) -> None:
    for *_, grid in grids:
        for order in AXES:
            moved = grid.transpose(order)
            assert moved.shape == np.empty(SHAPE).transpose(order).shape
            assert np.allclose(voxels(moved), voxels(grid).transpose(*order, 3), atol=1e-9)


def test_crop_moves_no_voxel(grids: list[Grid]) -> None:
    for *_, grid in grids:
        assert np.allclose(voxels(grid.crop((1, 0, 2), (2, 3, 3))), voxels(grid)[1:3, 0:3, 2:5], atol=1e-9)
        padded = grid.crop((-1, -2, -3), (5, 8, 11))
        assert np.allclose(voxels(padded)[1:4, 2:6, 3:8], voxels(grid), atol=1e-9)


def test_with_spacing_keeps_box_centre_and_directions(grids: list[Grid]) -> None:
    for *_, grid in grids:
        other = grid.with_spacing((0.5, 2.0, 2.5))
        assert other.size == (7, 3, 3)  # 5 x 0.7 / 0.5, 4 x 1.1 / 2.0 rounded up, 3 x 2.5 / 2.5
        assert other.spacing == pytest.approx((0.5, 2.0, 2.5))
        assert np.allclose(other.direction, grid.direction)
        assert np.allclose(other.centre, voxels(grid).reshape(-1, 3).mean(axis=0))
        assert np.allclose(other.centre, grid.centre)


def test_lps_round_trip(grids: list[Grid]) -> None:
    for *_, grid in grids:
        assert np.array_equal(grid.ijk_to_lps, grid.ijk_to_ras * [[-1], [-1], [1], [1]])
        assert Geometry.from_lps(grid.shape, grid.ijk_to_lps) == grid


def test_dict_round_trip(grids: list[Grid]) -> None:
    for *_, grid in grids:
        again = Geometry.from_dict(grid.to_dict())
        assert again == grid
        assert hash(again) == hash(grid)


def test_a_known_grid() -> None:
    """A DICOM-like axial grid worked out by hand: I to the left, J to the back, K up."""
    grid = Geometry.from_lps((2, 3, 4), [[0.5, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])
    assert grid.orientation == "LPS"
    assert grid.origin == (10.0, 20.0, 5.0)
    assert grid.to_ras((1, 2, 1)).tolist() == [9.5, 19.0, 8.0]
    assert grid.to_ijk((9.5, 19.0, 8.0)).tolist() == [1.0, 2.0, 1.0]
    assert grid.size == (4, 3, 2)
    assert grid.is_right_handed
    assert grid.describe() == "4 x 3 x 2 voxels of (0.5, 0.5, 3) mm, LPS, origin (10, 20, 5) mm RAS"


@pytest.mark.parametrize("degrees", [44.0, 46.0, 90.0, 134.0])
def test_orientation_of_a_turned_grid_follows_the_nearest_axis(degrees: float) -> None:
    grid = Geometry.from_spacing(SHAPE, direction=rotation((0, 0, degrees)))
    assert grid.orientation == {44.0: "RAS", 46.0: "ALS", 90.0: "ALS", 134.0: "ALS"}[degrees]


def test_a_45_degree_tie_does_not_hang_on_the_last_bit() -> None:
    exact = rotation((0, 0, 45.0))
    letters = {
        Geometry.from_spacing(
            SHAPE, direction=exact + np.random.default_rng(n).uniform(-1e-12, 1e-12, (3, 3))
        ).orientation
        for n in range(50)
    }
    assert letters == {"RAS"}


@given(st.lists(st.floats(-1, 1), min_size=9, max_size=9))
def test_any_grid_has_an_orientation_that_flips_can_turn(values: list[float]) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(values).reshape(3, 3)
    try:
        grid = Geometry(SHAPE, matrix)
    except GeometryError:
        assume(False)
    assert sorted(axis for axis, _ in grid.axis_map) == [0, 1, 2]
    for axis in range(3):
        before, after = grid.axis_map[2 - axis], grid.flip(axis).axis_map[2 - axis]
        assert (after[0], after[1]) == (before[0], -before[1])


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((0, 1, 1), "three positive sizes"),
        ((1, -1, 1), "three positive sizes"),
        ((1, 1), "three positive sizes"),
        ((1, 1, 2**40), "three positive sizes"),
        ((1.5, 1, 1), "three whole sizes"),
        (("1", 1, 1), "three whole sizes"),
        (None, "three whole sizes"),
    ],
)
def test_impossible_shapes_are_refused(shape: object, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        Geometry(shape, np.eye(4))  # type: ignore[arg-type]


def affine(**cells: float) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    for name, value in cells.items():
        matrix[int(name[1]), int(name[2])] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (affine(m00=0.0), r"spacing along I, J, K is \(0, 1, 1\) mm"),
        (affine(m22=1e-9), "must be greater than 0"),
        (affine(m00=np.nan), "NaN or infinity"),
        (affine(m03=np.inf), "NaN or infinity"),
        (affine(m00=1e200), "holds the value 1e.200"),
        (affine(m01=1.0, m11=0.0), "do not span space"),
        (affine(m30=1.0), "last row"),
        (affine(m33=2.0), "last row"),
        (np.eye(3), "must be 4 x 4"),
        ([[1, 2], [3]], "4 x 4 matrix of numbers"),
        ("x", "4 x 4 matrix of numbers"),
    ],
)
def test_impossible_affines_are_refused(matrix: npt.ArrayLike, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        Geometry(SHAPE, matrix)  # type: ignore[arg-type]


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1, np.nan), (1, 1, np.inf), (1, 1)])
def test_impossible_spacings_are_refused(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(GeometryError, match="three positive, finite numbers"):
        Geometry.from_spacing(SHAPE, spacing)
    with pytest.raises(GeometryError, match="three positive, finite numbers"):
        Geometry.from_spacing(SHAPE).with_spacing(spacing)


def test_a_spacing_that_gives_too_many_voxels_is_refused() -> None:
    with pytest.raises(GeometryError, match="voxels along one axis"):
        Geometry.from_spacing(SHAPE).with_spacing((1e-12, 1, 1))


def test_direction_columns_must_be_unit_vectors() -> None:
    with pytest.raises(GeometryError, match="unit vectors"):
        Geometry.from_spacing(SHAPE, direction=2 * np.eye(3))


@pytest.mark.parametrize(
    "data", [{}, {"shape": [1, 2, 3]}, {"shape": 3, "ijk_to_ras": []}, {"shape": [1, 2], "ijk_to_ras": 1}]
)
def test_malformed_dicts_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(GeometryError):
        Geometry.from_dict(data)


@pytest.mark.parametrize("axis", [-1, 3])
def test_flip_refuses_an_axis_that_is_none(axis: int) -> None:
    with pytest.raises(ValueError, match="array axis"):
        Geometry.from_spacing(SHAPE).flip(axis)


@pytest.mark.parametrize("axes", [(0, 0, 1), (-1, 0, 1), (0, 1)])
def test_transpose_refuses_what_is_no_order(axes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="each array axis"):
        Geometry.from_spacing(SHAPE).transpose(axes)


def test_with_spacing_rounds_the_size_up_but_not_noise() -> None:
    grid = Geometry.from_spacing((10, 10, 10), (0.1 * 3, 1.0, 1.0))
    assert grid.with_spacing((0.3, 3.0, 1.0)).size == (10, 4, 10)
    assert grid.with_spacing((1000.0, 1.0, 1.0)).size == (1, 10, 10)


def test_same_grid_within_a_thousandth_of_a_millimetre() -> None:
    """Row 29 of the bad inputs: within 1e-3 mm at every corner is the same grid, more is not."""
    grid = Geometry.from_spacing((100, 100, 100))
    near, far, turned = (grid.ijk_to_ras.copy() for _ in range(3))
    near[0, 3] += 0.9e-3
    far[0, 3] += 1.1e-3
    turned[0, 0] += 2e-5  # 2 micrometres at the far corner: only the corners show it
    assert grid.same_as(Geometry(grid.shape, near))
    assert not grid.same_as(Geometry(grid.shape, far))
    assert grid.difference_mm(Geometry(grid.shape, turned)) == pytest.approx(99 * 2e-5)
    assert not grid.same_as(Geometry(grid.shape, turned))
    assert grid.difference_mm(grid.crop((0, 0, 0), (99, 100, 100))) == np.inf


def test_a_mismatch_shows_both_grids_and_how_far_they_are_apart() -> None:
    grid = Geometry.from_spacing(SHAPE, origin=(100.0, 0, 0))
    other = Geometry.from_spacing(SHAPE, origin=(100.004, 0, 0))
    with pytest.raises(GeometryError) as caught:
        grid.require_same(other, "mask")
    assert caught.value.message.count("5 x 4 x 3 voxels") == 2
    assert "by up to 0.004 mm" in caught.value.message
    assert "Resample" in caught.value.hint
    with pytest.raises(GeometryError, match="4 x 4 x 3 voxels"):
        grid.require_same(Geometry.from_spacing((3, 4, 4)))
    grid.require_same(grid)


def test_equal_grids_have_equal_hashes_also_with_negative_zeros() -> None:
    matrix = np.eye(4)
    matrix[0, 1] = -0.0
    a, b = Geometry(SHAPE, np.eye(4)), Geometry(SHAPE, matrix)
    assert a == b
    assert hash(a) == hash(b)
    assert a.ijk_to_ras.tobytes() == b.ijk_to_ras.tobytes()
    assert a != Geometry((3, 4, 6), np.eye(4))
    assert a != "grid"


def test_a_grid_cannot_be_changed() -> None:
    matrix = np.eye(4)
    grid = Geometry(SHAPE, matrix)
    matrix[0, 0] = 5.0
    assert grid.spacing == (1.0, 1.0, 1.0)
    for array in (grid.ijk_to_ras, grid.ras_to_ijk):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 2.0
    with pytest.raises(AttributeError):
        grid.shape = (1, 1, 1)  # type: ignore[misc]


def test_corners_are_the_outermost_voxels() -> None:
    grid = make((1, 2, 0), (1, -1, 1), TWISTS["oblique"])
    positions = voxels(grid)
    expected = [positions[k, j, i] for k in (0, -1) for j in (0, -1) for i in (0, -1)]
    assert np.allclose(grid.corners(), expected)


def test_shear_just_inside_the_tolerance_is_none() -> None:
    assert not Geometry(SHAPE, affine(m01=5e-4)).is_sheared
    assert Geometry(SHAPE, affine(m01=2e-3)).is_sheared
