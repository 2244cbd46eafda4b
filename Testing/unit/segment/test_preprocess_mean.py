"""The mean filter against SciPy and SimpleITK."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS


def mean(array, radius=1, **more):
    grid = Geometry.from_spacing(array.shape[:3], (0.7, 0.7, 3.0))
    return PREPROCESS.create("mean").run(Volume(array, grid), {"radius": radius}, **more).array


def scipys(array, radius):
    from scipy.ndimage import uniform_filter

    size = [1 if n == 1 else 2 * radius + 1 for n in array.shape]
    return uniform_filter(array.astype(np.float64), size, mode="nearest")


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u2", "?"])
@pytest.mark.parametrize("radius", [1, 2])
def test_small_integers_are_summed_exactly_and_rounded_once(rng, dtype, radius):
    array = rng.integers(0, 2 if dtype == "?" else 250, (11, 13, 37)).astype(dtype)
    result = mean(array, radius)
    assert result.dtype == np.float32
    count = (2 * radius + 1) ** 3
    sums = np.rint(scipys(array, radius) * count)
    np.testing.assert_array_equal(result, sums.astype(np.float32) / np.float32(count))


@pytest.mark.parametrize("dtype", ["i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("radius", [1, 3, 5])
def test_other_types_to_rounding(rng, dtype, radius):
    array = (rng.normal(size=(14, 17, 40)) * 1e6 + 5e6).astype(dtype)
    result = mean(array, radius)
    assert result.dtype == (np.float64 if dtype == "f8" else np.float32)
    np.testing.assert_allclose(result, scipys(array, radius), rtol=1e-13 if dtype == "f8" else 5e-7)


def test_the_border_is_simpleitks(rng):
    import SimpleITK as sitk

    array = rng.normal(size=(9, 10, 11)).astype(np.float32)
    expected = sitk.GetArrayFromImage(sitk.Mean(sitk.GetImageFromArray(array), (2, 2, 2)))
    np.testing.assert_allclose(mean(array, 2), expected, atol=1e-6)


def test_the_extremes_of_int16_do_not_wrap():
    array = np.full((5, 5, 5), -32768, np.int16)
    assert (mean(array, 2) == -32768).all()


@pytest.mark.parametrize("shape", [(1, 9, 12), (9, 1, 12), (9, 12, 1), (1, 1, 12), (1, 1, 1)])
def test_an_axis_of_one_voxel_is_left_alone(rng, shape):
    array = rng.normal(size=shape)
    np.testing.assert_allclose(mean(array), scipys(array, 1), rtol=0, atol=1e-14)


def test_nan_and_infinity_reach_the_boxes_that_hold_them_and_no_others(rng):
    array = rng.normal(size=(12, 20, 50)).astype(np.float32)
    array[6, 6, 6], array[6, 6, 30] = np.nan, np.inf
    result = mean(array)
    holds = np.zeros(array.shape, bool)
    holds[5:8, 5:8, 5:8] = True
    np.testing.assert_array_equal(np.isnan(result), holds)
    np.testing.assert_array_equal(np.isinf(result).sum(), 27)
    array[6, 6, 6] = array[6, 6, 30] = 0
    finite = np.isfinite(result)
    np.testing.assert_allclose(result[finite], scipys(array, 1)[finite], atol=1e-5)


def test_colour_is_filtered_by_component(rng):
    array = rng.integers(0, 255, (1, 12, 12, 3), dtype=np.uint8)
    for c in range(3):
        np.testing.assert_array_equal(mean(array)[..., c], mean(array[..., c]))


@pytest.mark.parametrize("radius", [0, -1, 51, 1.0, "1"])
def test_a_wrong_radius_is_refused_by_key(radius):
    with pytest.raises(SettingsError, match=r"mean\.radius"):
        mean(np.zeros((9, 9, 9)), radius)


def test_a_box_larger_than_an_axis_is_refused_by_key():
    with pytest.raises(SettingsError, match=r"mean\.radius: a box of 7 voxels is larger than the image"):
        mean(np.zeros((6, 30, 30)), 3)


def test_cancel_stops_inside_the_work(rng):
    token = CancelToken()
    with pytest.raises(Cancelled):
        mean(rng.normal(size=(16, 200, 200)), progress=lambda fraction, message="": token.cancel(), cancel=token)
