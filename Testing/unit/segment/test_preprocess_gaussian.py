"""Gaussian smoothing against SciPy at borders, for large widths and strange values; more in test_preprocess.py."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, no_progress
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS
from medai.segment.preprocess._separable import correlate


def gaussian(array, sigma, spacing=(1.0, 1.0, 1.0)):
    grid = Geometry.from_spacing(array.shape[:3], spacing)
    return PREPROCESS.create("gaussian").run(Volume(array, grid), {"sigma_mm": sigma}).array


def scipys(array, sigma, spacing=(1.0, 1.0, 1.0)):
    from scipy.ndimage import gaussian_filter

    width = [0 if n == 1 else sigma / s for n, s in zip(array.shape, spacing[::-1], strict=True)]
    return gaussian_filter(array.astype(np.float64), width, mode="reflect", truncate=4.0)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u2", "i8", "f4", ">f4"])
@pytest.mark.parametrize("sigma", [0.05, 0.6, 1.5, 4.0])
def test_float32_to_rounding(rng, dtype, sigma):
    array = rng.integers(0, 250, (21, 33, 47)).astype(dtype)
    result = gaussian(array, sigma, (0.8, 0.7, 1.3))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, scipys(array, sigma, (0.8, 0.7, 1.3)), rtol=3e-6)


def test_hounsfield_units_keep_ten_thousandths(rng):
    array = rng.integers(-1024, 3071, (20, 40, 40), dtype=np.int16)
    np.testing.assert_allclose(gaussian(array, 2.0), scipys(array, 2.0), atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 30, 40), (30, 1, 40), (30, 40, 1), (1, 1, 40)])
def test_an_axis_of_one_voxel_is_left_alone(rng, shape):
    array = rng.normal(size=shape)
    np.testing.assert_allclose(gaussian(array, 2.0), scipys(array, 2.0), rtol=0, atol=1e-13)


def test_the_widest_kernel_an_axis_allows_is_mirrored_at_both_ends(rng):
    array = rng.normal(size=(8, 9, 10))
    np.testing.assert_allclose(gaussian(array, 2.0), scipys(array, 2.0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_a_strange_value_stays_in_its_neighbourhood(rng, strange):
    array = rng.normal(size=(24, 30, 64)).astype(np.float32)
    array[10, 10, 10] = strange
    result, expected = gaussian(array, 1.0), scipys(array, 1.0)
    reach = np.zeros(array.shape, bool)
    reach[6:15, 6:15, 6:15] = True
    np.testing.assert_array_equal(~np.isfinite(result), reach)
    np.testing.assert_allclose(result[~reach], expected[~reach], atol=1e-5)


def test_flips_and_turns(rng):
    array = rng.normal(size=(20, 24, 28))
    plain = gaussian(array, 1.5)
    for axis in range(3):
        np.testing.assert_allclose(gaussian(np.flip(array, axis), 1.5), np.flip(plain, axis), rtol=0, atol=1e-13)
    np.testing.assert_allclose(gaussian(array.transpose(2, 0, 1), 1.5), plain.transpose(2, 0, 1), rtol=0, atol=1e-13)


@pytest.mark.parametrize("border", ["nearest", "reflect"])
@pytest.mark.parametrize("shape", [(5, 33, 17), (40, 7, 300), (16, 16, 16), (3, 3, 3)])
def test_uneven_weights_and_blocks_of_every_length(rng, border, shape):
    from scipy.ndimage import correlate1d

    array = rng.normal(size=shape)
    weights = [rng.normal(size=n) for n in (3, 5, 1)]
    expected = array
    for axis, w in enumerate(weights):
        expected = correlate1d(expected, w, axis=axis, mode=border)
    found = correlate(array, weights, border=border, divisor=2.0, progress=no_progress, cancel=CancelToken())
    np.testing.assert_allclose(found, expected / 2, rtol=0, atol=1e-12)
