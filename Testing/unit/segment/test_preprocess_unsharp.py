"""Unsharp mask beside scikit-image's."""

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess.gaussian import Gaussian
from medai.segment.preprocess.unsharp import Unsharp


def volume(array, spacing=(1.0, 1.0, 1.0), **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3], spacing), **more)


@pytest.mark.parametrize("dtype", ["i2", "u1", "f4", "f8"])
def test_it_is_scikit_images(rng, dtype):
    filters = pytest.importorskip("skimage.filters")
    array = rng.integers(0, 200, size=(12, 20, 22)).astype(dtype)
    found = Unsharp().run(volume(array), {"sigma_mm": 1.3, "amount": 0.7}).array
    expected = filters.unsharp_mask(array.astype(np.float64), radius=1.3, amount=0.7, preserve_range=True)
    np.testing.assert_allclose(found, expected, atol=1e-9 if dtype == "f8" else 2e-3)
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)


def test_sigma_is_in_mm(rng):
    array = rng.normal(size=(10, 30, 40))
    spacing = (0.5, 1.0, 2.0)
    found = Unsharp().run(volume(array, spacing), {"sigma_mm": 1.2, "amount": 2}).array
    smooth = Gaussian().run(volume(array, spacing), {"sigma_mm": 1.2}).array
    np.testing.assert_allclose(found, array + 2 * (array - smooth), atol=1e-12)


def test_differences_up_to_the_threshold_are_left_alone(rng):
    array = rng.normal(0, 1, size=(8, 24, 24)).astype(np.float32)
    array[:, :, 12:] += 100
    found = Unsharp().run(volume(array), {"sigma_mm": 1, "threshold": 10}).array
    np.testing.assert_array_equal(found[:, :, :6], array[:, :, :6])
    assert found[:, :, 12].mean() > array[:, :, 12].mean() + 10
    assert found[:, :, 11].mean() < array[:, :, 11].mean() - 10


def test_the_result_may_exceed_the_range_and_does_not_wrap():
    array = np.zeros((9, 9, 9), dtype=np.uint8)
    array[:, :, 5:] = 255
    found = Unsharp().run(volume(array), {"sigma_mm": 1}).array
    assert found.max() > 255
    assert found.min() < 0


def test_a_single_slice_and_a_view(rng):
    array = rng.normal(size=(1, 40, 60))[:, ::2, ::3]
    found = Unsharp().run(volume(array), {"sigma_mm": 1}).array
    assert found.std() > array.std()
    assert not np.shares_memory(found, array)


def test_a_constant_image_stays():
    np.testing.assert_allclose(Unsharp().run(volume(np.full((9, 9, 9), 5, dtype=np.int16))).array, 5, atol=1e-5)


def test_a_kernel_wider_than_the_image_is_refused_under_this_steps_name():
    with pytest.raises(SettingsError, match=r"^unsharp\.sigma_mm"):
        Unsharp().run(volume(np.zeros((5, 50, 50))), {"sigma_mm": 9})


def test_luminance_keeps_the_type_and_the_hue(rng):
    array = np.repeat(rng.integers(50, 200, size=(1, 20, 20, 1), dtype=np.uint8), 3, axis=3)
    array[..., 2] += 20
    found = Unsharp().run(volume(array), {"colour": "luminance", "amount": 0.2}).array
    assert found.dtype == np.uint8
    assert found[..., 0].std() > array[..., 0].std()
    inside = (found > 0) & (found < 255)
    both = inside.all(axis=3)
    assert (found[both][:, 2].astype(int) - found[both][:, 0] == 20).all()
