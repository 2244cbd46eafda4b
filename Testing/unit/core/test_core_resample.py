"""medai.core.resample: no voxel moves when axes are turned; sampled values against a field known everywhere."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.resample import reorient_array, reorient_plan, resample_array, resample_labels, resample_volume
from medai.core.volume import Volume

PAIRS = (("L", "R"), ("P", "A"), ("I", "S"))
TURNS = itertools.product(itertools.permutations(range(3)), itertools.product((0, 1), repeat=3))
ORIENTATIONS = ["".join(PAIRS[a][s] for a, s in zip(axes, signs, strict=True)) for axes, signs in TURNS]
COS, SIN = np.cos(0.2), np.sin(0.2)
TWISTS = {
    "straight": np.eye(3),
    "oblique": np.array([[COS, -SIN, 0], [SIN, COS, 0], [0, 0, 1]]),
    "sheared": np.array([[1, 0, 0], [0, 1, 0.2], [0, 0, np.sqrt(0.96)]]),
}


def directed(orientation: str, twist: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    direction = np.zeros((3, 3))
    for column, letter in enumerate(orientation):
        axis = next(n for n, pair in enumerate(PAIRS) if letter in pair)
        direction[axis, column] = 1 if letter == PAIRS[axis][1] else -1
    return np.asarray(twist @ direction)


def linear(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A field that linear interpolation reproduces exactly."""
    return np.asarray(points @ [1.0, -2.0, 0.5] + 3.0)


def positions(geometry: Geometry) -> npt.NDArray[np.float64]:
    k, j, i = np.indices(geometry.shape)
    return geometry.to_ras(np.stack([i, j, k], axis=-1))


@pytest.mark.parametrize("twist", list(TWISTS))
@pytest.mark.parametrize("source", ORIENTATIONS)
def test_turning_to_any_orientation_moves_no_voxel(source: str, twist: str) -> None:
    grid = Geometry.from_spacing((2, 3, 4), (0.7, 1.1, 2.5), (5.0, 6.0, 7.0), directed(source, TWISTS[twist]))
    assert grid.orientation == source
    field = np.concatenate([positions(grid), linear(positions(grid))[..., None]], axis=-1)
    for target in ORIENTATIONS:
        array, turned = reorient_array(field, grid, target)
        assert turned.orientation == target
        assert array.shape[:3] == turned.shape
        assert np.allclose(array[..., :3], positions(turned), atol=1e-9)
        assert np.shares_memory(array, field)


def test_turning_there_and_back_is_the_same_array() -> None:
    grid = Geometry.from_spacing((2, 3, 4), direction=directed("PIR", TWISTS["oblique"]))
    array = np.arange(24).reshape(2, 3, 4)
    turned, other = reorient_array(array, grid, "RAS")
    back, again = reorient_array(turned, other, "PIR")
    assert np.array_equal(back, array)
    assert again.same_as(grid, 1e-12)


def test_lower_case_is_taken() -> None:
    assert reorient_plan(Geometry.from_spacing((1, 1, 1)), "ras") == ((0, 1, 2), (False, False, False))


@pytest.mark.parametrize("orientation", ["RA", "RAR", "RLS", "XYZ", "RASS", ""])
def test_what_is_no_orientation_is_refused(orientation: str) -> None:
    with pytest.raises(ValueError, match="does not name each"):
        reorient_plan(Geometry.from_spacing((1, 1, 1)), orientation)


@pytest.mark.parametrize("twist", list(TWISTS))
@pytest.mark.parametrize("source", ["RAS", "LPS", "PIR", "SLA"])
@pytest.mark.parametrize("interpolator", ["linear", "bspline"])
def test_a_linear_field_is_sampled_exactly(source: str, twist: str, interpolator: str) -> None:
    grid = Geometry.from_spacing((24, 26, 28), (1.0, 1.2, 0.9), (-12, -14, -11), directed(source, TWISTS[twist]))
    centre = grid.centre
    target = Geometry.from_spacing((3, 4, 5), (0.8, 0.7, 1.3), tuple(centre - 1.5), TWISTS["oblique"])
    result = resample_array(linear(positions(grid)), grid, target, interpolator)  # type: ignore[arg-type]
    # A cubic spline mirrors at the border; ten voxels inside, 1e-4 of that is left.
    assert np.allclose(result, linear(positions(target)), atol=1e-9 if interpolator == "linear" else 1e-3)


@pytest.mark.parametrize("twist", list(TWISTS))
@pytest.mark.parametrize("interpolator", ["nearest", "linear", "bspline"])
def test_the_own_grid_gives_the_own_values(twist: str, interpolator: str) -> None:
    grid = Geometry.from_spacing((6, 7, 8), (1.0, 1.2, 0.9), (3, 4, 5), directed("LIP", TWISTS[twist]))
    array = np.random.default_rng(0).normal(size=grid.shape)
    assert np.allclose(resample_array(array, grid, grid, interpolator), array, atol=1e-6)  # type: ignore[arg-type]


def test_nearest_takes_the_voxel_whose_cell_holds_the_point() -> None:
    grid = Geometry.from_spacing((4, 4, 4))
    array = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    target = Geometry.from_spacing((4, 4, 4), origin=(0.4, -0.4, 0.3))
    assert np.array_equal(resample_array(array, grid, target, "nearest"), array)


def test_outside_is_the_fill_and_the_outer_half_voxel_the_border() -> None:
    grid = Geometry.from_spacing((1, 1, 3))
    target = Geometry.from_spacing((1, 1, 8), (0.45, 1, 1), (-0.9, 0, 0))
    result = resample_array(np.array([[[10.0, 20.0, 30.0]]]), grid, target, "linear", -5.0)
    assert result[0, 0] == pytest.approx([-5, 10, 10, 14.5, 19, 23.5, 28, 30])


@pytest.mark.parametrize("components", [1, 2, 3])
def test_components_are_sampled_one_by_one(components: int) -> None:
    grid = Geometry.from_spacing((6, 6, 6))
    target = grid.with_spacing((0.5, 2.0, 1.0))
    array = np.random.default_rng(0).normal(size=(6, 6, 6, components))
    for interpolator in ("nearest", "linear", "bspline"):
        whole = resample_array(array, grid, target, interpolator)  # type: ignore[arg-type]
        parts = [resample_array(array[..., n], grid, target, interpolator) for n in range(components)]  # type: ignore[arg-type]
        assert whole.shape == (*target.shape, components)
        assert np.allclose(whole, np.stack(parts, axis=-1), atol=1e-6)


def test_bspline_over_two_slices_reads_the_image_only(rng: np.random.Generator) -> None:
    """Two voxels and their mirror image have the period of two: halfway between them the spline is their mean."""
    pair = rng.normal(size=(2, 1, 1)) + np.zeros((2, 7, 7))
    grid = Geometry.from_spacing((2, 7, 7))
    target = Geometry.from_spacing((5, 7, 7), (1.0, 1.0, 0.5), (0.0, 0.0, -0.5))
    for _ in range(20):
        result = resample_array(pair, grid, target, "bspline", fill=-9.0)[:, 3, 3]
        first, second = pair[:, 0, 0]
        assert np.allclose(result[1:4], [first, (first + second) / 2, second])
    assert (
        resample_array(pair, grid, Geometry.from_spacing((1, 7, 7), (1, 1, 1), (0, 0, 3)), "bspline", -9.0).max() == -9
    )


@pytest.mark.parametrize("shape", [(1, 9, 9), (2, 9, 9), (2, 2, 2), (3, 3, 3), (1, 1, 1)])
def test_thin_images_can_be_sampled(shape: tuple[int, int, int]) -> None:
    grid = Geometry.from_spacing(shape)
    for interpolator in ("nearest", "linear", "bspline"):
        result = resample_array(np.full(shape, 7.0), grid, grid.with_spacing((0.5, 0.5, 1.0)), interpolator)  # type: ignore[arg-type]
        assert np.allclose(result, 7.0)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "f2", "f4", "f8", "i8"])
def test_nearest_keeps_the_type_and_linear_gives_float32(dtype: str) -> None:
    grid = Geometry.from_spacing((3, 4, 5))
    volume = Volume((np.arange(60).reshape(3, 4, 5) % 2).astype(dtype), grid, "MR", name="n")
    target = grid.with_spacing((0.5, 0.5, 0.5))
    assert resample_volume(volume, target, "nearest").array.dtype == dtype
    smooth = resample_volume(volume, target)
    assert smooth.array.dtype == np.float32
    assert (smooth.modality, smooth.name, smooth.geometry) == ("MR", "n", target)


def test_the_fill_is_the_smallest_finite_value() -> None:
    grid = Geometry.from_spacing((1, 1, 3))
    far = Geometry.from_spacing((1, 1, 1), origin=(50.0, 0, 0))
    array = np.array([[[np.nan, -3.0, -np.inf]]], dtype=np.float32)
    assert resample_volume(Volume(array, grid), far).array.item() == -3.0
    assert resample_volume(Volume(array * np.nan, grid), far).array.item() == 0.0
    assert resample_volume(Volume(array, grid), far, fill=9.0).array.item() == 9.0
    assert resample_volume(Volume(np.array([[[-1024, 0, 5]]], np.int16), grid), far, "nearest").array.item() == -1024


def test_labels_keep_their_segments_and_stay_labels() -> None:
    grid = Geometry.from_spacing((4, 4, 4))
    array = np.zeros((4, 4, 4), np.uint16)
    array[:2] = 300
    labels = LabelMap(array, grid, (Segment(300, "half"), Segment(5, "empty")))
    fine = resample_labels(labels, grid.with_spacing((0.5, 0.5, 0.5)))
    assert fine.segments == labels.segments
    assert fine.counts() == {300: 8 * 32, 5: 0}
    assert fine.volumes_ml() == pytest.approx(labels.volumes_ml())
