"""The median by networks against SimpleITK, for every type, tile and thin image."""

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS
from medai.segment.preprocess._selection_network import Pool, merging, run, sorting
from medai.segment.preprocess._sliding_median import Worker, tile_for, worth_it


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape[:3], (1.0, 1.0, 2.5)))


def median(array, radius):
    return PREPROCESS.create("median").run(volume(array), {"radius": radius}).array


def simpleitk(array, radii):
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.Median(sitk.GetImageFromArray(array), [int(r) for r in radii[::-1]]))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_every_bit_is_simpleitks(rng, radius, dtype):
    kind = np.dtype(dtype)
    if kind.kind == "f":
        array = rng.normal(size=(11, 14, 19)).astype(kind)
    else:
        # The whole range of the type, so that a detour through real numbers or narrower integers would show.
        info = np.iinfo(kind)
        array = rng.integers(info.min, info.max, (11, 14, 19), dtype=kind, endpoint=True)
    result = median(array, radius)
    assert result.dtype == kind
    np.testing.assert_array_equal(result, simpleitk(array, (radius,) * 3))


@pytest.mark.parametrize("dtype", [">i2", ">f4", ">f8", "?", "f2"])
def test_types_simpleitk_lacks_are_kept(rng, dtype):
    array = (rng.random((9, 10, 11)) > 0.5) if dtype == "?" else rng.integers(-50, 50, (9, 10, 11)).astype(dtype)
    result = median(array, 1)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result.astype(np.float64), simpleitk(array.astype(np.float64), (1, 1, 1)))


@pytest.mark.parametrize("radius", [4, 5, 6])
def test_large_boxes(rng, radius):
    """Up to 5 by networks, from 6 on by SimpleITK in slabs."""
    array = rng.integers(-1000, 1000, (2 * radius + 8, 2 * radius + 1, 2 * radius + 3), dtype=np.int16)
    assert worth_it((radius,) * 3, 2) == (radius <= 5)
    np.testing.assert_array_equal(median(array, radius), simpleitk(array, (radius,) * 3))


@pytest.mark.parametrize(
    "shape", [(1, 21, 30), (21, 1, 30), (21, 30, 1), (1, 1, 30), (30, 1, 1), (1, 30, 1), (5, 5, 5), (1, 25, 25)]
)
@pytest.mark.parametrize("radius", [1, 2])
def test_an_axis_of_one_voxel_is_left_alone(rng, shape, radius):
    array = rng.integers(0, 200, shape, dtype=np.uint8)
    radii = [0 if size == 1 else radius for size in shape]
    np.testing.assert_array_equal(median(array, radius), simpleitk(array, radii))


def test_a_single_voxel_is_returned():
    assert median(np.full((1, 1, 1), 7, np.int16), 1).tolist() == [[[7]]]


def test_a_plane_may_have_a_large_box(rng):
    array = rng.integers(0, 4000, (1, 40, 33), dtype=np.uint16)
    np.testing.assert_array_equal(median(array, 10), simpleitk(array, (0, 10, 10)))


@pytest.mark.parametrize("tile", [(4, 4, 5), (2, 6, 17), (16, 32, 64)])
@pytest.mark.parametrize("radii", [(1, 1, 1), (2, 1, 3), (1, 2, 0), (0, 3, 1), (3, 0, 2)])
def test_tiles_of_any_shape_join(rng, tile, radii):
    array = rng.integers(-3000, 3000, (13, 15, 41), dtype=np.int16)
    worker = Worker(tile, radii, array.dtype)
    result = np.empty_like(array)
    for k in range(0, 13, tile[0]):
        for j in range(0, 15, tile[1]):
            for i in range(0, 41, tile[2]):
                worker.median(array, (k, j, i), result)
    np.testing.assert_array_equal(result, simpleitk(array, radii))


def test_tiles_keep_within_the_memory():
    for radius in range(1, 4):
        tile = tile_for((300, 512, 512), (radius,) * 3, 8, 64 << 20)
        worker = Worker(tile, (radius,) * 3, np.float64)
        worker.median(np.zeros((40, 40, 40)), (0, 0, 0), np.zeros((40, 40, 40)))
        assert len(worker.pool._free) * worker.length * 8 <= 64 << 20


def test_nan_reaches_the_boxes_that_hold_it_and_no_others(rng):
    array = rng.normal(size=(12, 13, 14)).astype(np.float32)
    array[6, 6, 6] = np.nan
    result = median(array, 1)
    holds = np.zeros(array.shape, bool)
    holds[5:8, 5:8, 5:8] = True
    np.testing.assert_array_equal(np.isnan(result), holds)
    array[6, 6, 6] = 0
    np.testing.assert_array_equal(result[~holds], median(array, 1)[~holds])


def test_infinity_is_a_value_like_others(rng):
    array = rng.normal(size=(9, 9, 9))
    array[4, 4, :4] = np.inf
    array[2, 2, 2:] = -np.inf
    np.testing.assert_array_equal(median(array, 1), simpleitk(array, (1, 1, 1)))


def test_the_median_follows_flips_and_shifts(rng):
    array = rng.integers(-500, 500, (10, 12, 14), dtype=np.int16)
    plain = median(array, 2)
    for axis in range(3):
        np.testing.assert_array_equal(median(np.flip(array, axis), 2), np.flip(plain, axis))
    np.testing.assert_array_equal(median(array + np.int16(100), 2), plain + 100)
    np.testing.assert_array_equal(median(array.transpose(2, 0, 1), 2), plain.transpose(2, 0, 1))


def test_a_strided_view_is_taken(rng):
    array = rng.integers(-500, 500, (20, 24, 28), dtype=np.int16)[::2, ::-1, ::2]
    np.testing.assert_array_equal(median(array, 1), simpleitk(np.ascontiguousarray(array), (1, 1, 1)))


def test_a_box_larger_than_an_axis_is_refused_by_key():
    with pytest.raises(SettingsError, match=r"median\.radius: a box of 7 voxels is larger than the image"):
        median(np.zeros((6, 30, 30)), 3)


@pytest.mark.parametrize(("left", "right"), [(1, 1), (1, 8), (3, 3), (5, 7), (9, 10), (16, 16), (25, 13)])
def test_networks_merge_every_pattern_of_zeros_and_ones(left, right):
    """The zero-one principle: a merge that is right for 0 and 1 is right for all values."""
    steps = [(a, b) for a in range(left + 1) for b in range(right + 1)]
    rows = [[int(at >= a) for a, _ in steps] for at in range(left)]
    rows += [[int(at >= b) for _, b in steps] for at in range(right)]
    inputs = [np.array(row) for row in rows]
    expected = np.sort(np.array(inputs), axis=0)
    total = left + right
    for first, last in [(0, total - 1), (total // 2, total // 2), (total // 3, total - 1 - total // 4)]:
        found = run(merging(left, right, first, last), inputs, (len(steps),), Pool(len(steps), np.int64))
        np.testing.assert_array_equal(found, expected[first : last + 1])


@pytest.mark.parametrize("count", range(2, 12))
def test_networks_sort_every_pattern_of_zeros_and_ones(count):
    inputs = [np.array([(word >> bit) & 1 for word in range(1 << count)]) for bit in range(count)]
    pool = Pool(1 << count, np.int64)
    found = run(sorting(count, 0, count - 1), inputs, (1 << count,), pool)
    np.testing.assert_array_equal(found, np.sort(np.array(inputs), axis=0))
    (middle,) = run(sorting(count, count // 2, count // 2), inputs, (1 << count,), pool)
    np.testing.assert_array_equal(middle, found[count // 2])
