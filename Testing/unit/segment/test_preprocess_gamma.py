"""Gamma correction beside scikit-image's."""

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess.gamma import Gamma


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape[:3]))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.2])
def test_a_full_range_of_bytes_is_scikit_images(gamma):
    exposure = pytest.importorskip("skimage.exposure")
    array = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    found = Gamma().run(volume(array), {"gamma": gamma}).array
    assert found.dtype == np.uint8
    # scikit-image cuts the fraction off or rounds, depending on its version.
    assert np.abs(found.astype(int) - exposure.adjust_gamma(array, gamma).astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_the_formula_on_negative_values(rng, dtype):
    array = rng.integers(-1024, 3000, size=(4, 9, 9)).astype(dtype)
    found = Gamma().run(volume(array), {"gamma": 1.7}).array
    low, high = float(array.min()), float(array.max())
    expected = low + (high - low) * ((array.astype(np.float64) - low) / (high - low)) ** 1.7
    np.testing.assert_allclose(found, np.rint(expected) if dtype == "i2" else expected, rtol=1e-6, atol=1e-3)
    assert (found.min(), found.max(), found.dtype) == (array.min(), array.max(), np.dtype(dtype))


def test_nan_stays_and_infinity_becomes_the_largest_value():
    array = np.array([[[0.0, 1.0, 4.0, np.nan, np.inf, -np.inf]]])
    found = Gamma().run(volume(array), {"gamma": 0.5}).array[0, 0]
    np.testing.assert_allclose(found, [0, 2, 4, np.nan, 4, 0])


def test_only_nan_is_refused():
    with pytest.raises(InputError, match="finite"):
        Gamma().run(volume(np.full((1, 2, 2), np.nan)))


def test_a_constant_image_is_unchanged_and_flagged():
    found = Gamma().run(volume(np.full((1, 4, 4), 9, dtype=np.uint8)))
    assert (found.array == 9).all()
    assert [flag.code for flag in found.flags] == ["INT_CONSTANT"]


@pytest.mark.parametrize("bad", [0, -1, 100, "2"])
def test_a_bad_exponent_is_refused(bad):
    with pytest.raises(SettingsError, match=r"gamma\.gamma"):
        Gamma().run(volume(np.zeros((1, 2, 2))), {"gamma": bad})


def test_luminance_brightens_without_changing_the_hue(rng):
    array = rng.integers(20, 120, size=(1, 8, 8, 1), dtype=np.uint8) + np.array([0, 10, 30], dtype=np.uint8)
    array[0, 0, 0] = 0
    array[0, 0, 1] = 255
    found = Gamma().run(volume(array), {"gamma": 0.6, "colour": "luminance"}).array.astype(int)
    change = (found - array)[0, 1:]
    assert (change == change[..., :1]).all()
    assert change.min() > 0
