"""Edges as voxels of strong gradient."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS, _gradient


def run(array, spacing=(1.0, 1.0, 1.0), **settings):
    return SEGMENTERS.create("gradient_edges").run(Volume(array, Geometry.from_spacing(array.shape, spacing)), settings)


def reference(array, spacing, sigma):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array.astype(np.float32))
    image.SetSpacing(spacing)
    smooth = sitk.DiscreteGaussian(image, [sigma**2] * 3, 100, [0.01] * 3, True)
    return sitk.GetArrayFromImage(sitk.GradientMagnitude(smooth))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("shape", [(11, 22, 26), (1, 22, 26), (11, 22, 1)])
def test_equals_simpleitk(rng, monkeypatch, dtype, shape):
    array = rng.integers(0, 250, shape).astype(dtype)
    spacing = (0.7, 0.9, 2.1)
    monkeypatch.setattr(_gradient, "SLAB_VOXELS", 3 * shape[1] * shape[2])
    expected = reference(array, spacing, 1.2)
    lower = float(np.percentile(expected, 70))
    found = run(array, spacing, sigma_mm=1.2, lower=lower).array
    sure = np.abs(expected - lower) > 1e-4 * lower
    assert np.array_equal(found[sure], (expected > lower)[sure])
    assert sure.mean() > 0.99


@pytest.mark.parametrize("percentile", [5, 50, 90, 99])
def test_the_percentile_is_right_to_a_hundredth(rng, percentile):
    array = rng.normal(0, 30, (9, 40, 44)).astype(np.float32)
    found = run(array, percentile=percentile)
    expected = np.percentile(reference(array, (1.0, 1.0, 1.0), 1.0), percentile)
    assert found.meta["lower"] == pytest.approx(expected, rel=0.01)
    assert found.counts()[1] / array.size == pytest.approx(1 - percentile / 100, abs=0.01)


def test_a_sphere_gives_a_shell():
    k, j, i = np.ogrid[:30, :30, :30]
    distance = np.sqrt((k - 15.0) ** 2 + (j - 15) ** 2 + (i - 15) ** 2)
    found = run(np.where(distance < 9, 100, 0).astype(np.int16), lower=15).array > 0
    assert found[(distance > 8.5) & (distance < 9.5)].all()
    assert not found[(distance < 6) | (distance > 12)].any()


def test_a_flat_image_has_no_edges():
    assert [f.code for f in run(np.full((4, 5, 6), 7, dtype=np.int16)).flags] == ["MASK_EMPTY"]
