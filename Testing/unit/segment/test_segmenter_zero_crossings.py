"""Zero crossings of the Laplacian."""

import numpy as np
import pytest
from scipy import ndimage

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS, _gradient


def run(array, spacing=(1.0, 1.0, 1.0), **settings):
    return SEGMENTERS.create("zero_crossings").run(Volume(array, Geometry.from_spacing(array.shape, spacing)), settings)


@pytest.mark.parametrize("shape", [(11, 22, 26), (1, 22, 26)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.9, 2.1)])
@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_equals_simpleitk(rng, monkeypatch, shape, spacing, sigma):
    import SimpleITK as sitk

    array = rng.integers(-1000, 1000, shape).astype(np.int16)
    monkeypatch.setattr(_gradient, "SLAB_VOXELS", 4 * shape[1] * shape[2])
    image = sitk.GetImageFromArray(array.astype(np.float32))
    image.SetSpacing(spacing)
    expected = sitk.GetArrayFromImage(sitk.ZeroCrossingBasedEdgeDetection(image, sigma**2, 1, 0, 0.01))
    assert np.array_equal(run(array, spacing, sigma_mm=sigma, percentile=0).array, expected)


def test_crossings_enclose_a_sphere():
    k, j, i = np.ogrid[:30, :30, :30]
    distance = np.sqrt((k - 15.0) ** 2 + (j - 15) ** 2 + (i - 15) ** 2)
    edges = run(np.where(distance < 9, 100, 0).astype(np.int16)).array > 0
    filled = ndimage.binary_fill_holes(edges)
    assert filled[distance < 8].all()
    assert not filled[distance > 11].any()


def test_weak_crossings_are_left_out(rng):
    array = rng.normal(0, 1, (8, 30, 30))
    array[:, 10:20, 10:20] += 100
    every = run(array, percentile=0)
    steep = run(array, lower=10.0)
    assert steep.counts()[1] < every.counts()[1]
    assert not steep.array[:, :4, :4].any()
    assert steep.meta["lower"] == 10.0
