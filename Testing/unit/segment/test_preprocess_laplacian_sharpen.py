"""Laplacian sharpening beside SimpleITK's."""

import warnings

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess import laplacian_sharpen
from medai.segment.preprocess.laplacian_sharpen import LaplacianSharpen


def volume(array, spacing=(1.0, 1.0, 1.0), **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3], spacing), **more)


@pytest.mark.parametrize("use_spacing", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_it_is_simpleitks_at_every_voxel(rng, dtype, use_spacing, monkeypatch):
    sitk = pytest.importorskip("SimpleITK")
    monkeypatch.setattr(laplacian_sharpen, "SLAB_VOXELS", 2000)  # several slabs
    array = rng.integers(0, 250, size=(11, 20, 22)).astype(dtype)
    spacing = (0.7, 1.0, 2.5)
    image = sitk.GetImageFromArray(array.astype(np.float64))
    image.SetSpacing(spacing)
    expected = sitk.GetArrayFromImage(sitk.LaplacianSharpening(image, use_spacing))
    found = LaplacianSharpen().run(volume(array, spacing), {"use_spacing": use_spacing}).array
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)


def test_a_single_slice_is_sharpened_in_its_plane(rng):
    sitk = pytest.importorskip("SimpleITK")
    array = rng.normal(100, 20, size=(1, 20, 30)).astype(np.float32)
    found = LaplacianSharpen().run(volume(array, (1, 1, 4))).array
    expected = sitk.GetArrayFromImage(sitk.LaplacianSharpening(sitk.GetImageFromArray(array[0])))
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


def test_less_is_gentler_and_the_range_is_kept(rng):
    array = np.cumsum(rng.normal(size=(9, 20, 20)), axis=2)
    changes = []
    for amount in (0.1, 0.5, 1.0):
        found = LaplacianSharpen().run(volume(array), {"amount": amount}).array
        changes.append(np.abs(found - array).mean())
        assert found.min() >= array.min()
        assert found.max() <= array.max()
    assert changes == sorted(changes)


def test_nan_and_infinity_stay_and_do_not_spread(rng):
    array = rng.normal(100, 10, size=(9, 9, 9)).astype(np.float32)
    array[4, 4, 4], array[7, 7, 7] = np.nan, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = LaplacianSharpen().run(volume(array)).array
    assert np.isnan(found).sum() == 1
    assert np.isinf(found).sum() == 1
    assert found[4, 4, 5] == array[4, 4, 5]
    assert found[4, 4, 6] != array[4, 4, 6]


def test_a_constant_image_and_a_ramp_without_curvature():
    found = LaplacianSharpen().run(volume(np.full((3, 4, 5), 2, dtype=np.int16)))
    assert (found.array == 2).all()
    assert [flag.code for flag in found.flags] == ["INT_CONSTANT"]


def test_luminance_keeps_the_type(rng):
    array = rng.integers(50, 200, size=(1, 20, 20, 3), dtype=np.uint8)
    found = LaplacianSharpen().run(volume(array), {"colour": "luminance", "amount": 0.3}).array
    assert found.dtype == np.uint8
    assert (found != array).any()
