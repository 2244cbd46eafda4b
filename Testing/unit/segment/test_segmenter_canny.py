"""Canny edges, and what all edge detectors share."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS, _gradient


def volume(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry.from_spacing(array.shape, spacing))


@pytest.fixture
def scene(rng):
    """A block in smooth noise that touches the border."""

    def make(shape):
        array = 500 * ndimage.gaussian_filter(rng.normal(0, 1, shape), 2)
        array[shape[0] // 3 :, 8:20, 10:25] += 150
        return array.astype(np.float32)

    return make


@pytest.mark.parametrize("shape", [(15, 30, 40), (1, 30, 40), (12, 1, 33)])
@pytest.mark.parametrize("sigma", [0.0, 0.8, 1.5])
def test_equals_simpleitk_on_a_grid_of_1_mm(scene, shape, sigma, monkeypatch):
    import SimpleITK as sitk

    array = scene(shape)
    monkeypatch.setattr(_gradient, "SLAB_VOXELS", 4 * shape[1] * shape[2])
    monkeypatch.setattr(sys.modules["medai.segment.segmenters.canny"], "ROWS", 7)
    found = SEGMENTERS.create("canny").run(volume(array), {"sigma_mm": sigma, "lower": 10, "upper": 25})
    expected = sitk.CannyEdgeDetection(sitk.GetImageFromArray(array), 10, 25, [sigma**2] * 3, [0.01] * 3)
    assert found.counts()[1] > 20
    assert np.array_equal(found.array, sitk.GetArrayFromImage(expected) > 0)


def test_whole_numbers_give_what_the_same_real_numbers_give(scene):
    array = scene((8, 24, 30)).astype(np.int16)
    runs = [SEGMENTERS.create("canny").run(volume(array.astype(t))) for t in (np.int16, np.int32, np.float64)]
    assert runs[0].counts()[1] > 0
    assert runs[0].digest() == runs[1].digest() == runs[2].digest()


def test_edges_are_in_mm():
    """A plane whose values rise along K only has its edge at the same place and strength on any grid."""
    depth = np.arange(40)
    for spacing in (0.5, 1.0, 2.0):
        profile = 100 / (1 + np.exp(-(depth * spacing - 20 * spacing - 0.3) / 3.0))
        image = volume(np.tile(profile[:, None, None], (1, 6, 7)), (1.0, 1.0, spacing))
        # the steepest gradient of this profile is 100 / (4 * 3) = 8.33 per mm, 0.3 mm behind slice 20
        found = SEGMENTERS.create("canny").run(image, {"sigma_mm": 0, "upper": 7.5, "lower": 7.5})
        assert [int(k) for k in np.unique(np.nonzero(found.array)[0])] == [round(20 + 0.3 / spacing)]
        none = SEGMENTERS.create("canny").run(image, {"sigma_mm": 0, "upper": 8.5, "lower": 8.5})
        assert [f.code for f in none.flags] == ["MASK_EMPTY"]


def test_hysteresis_follows_weak_edges():
    array = np.zeros((1, 30, 40))
    array[:, 15:, :] = np.linspace(10, 100, 40)  # an edge that grows weaker along I
    image = volume(array)
    strong = SEGMENTERS.create("canny").run(image, {"upper": 25, "lower": 25})
    weak = SEGMENTERS.create("canny").run(image, {"upper": 25, "lower": 5})
    assert 0 < strong.counts()[1] < weak.counts()[1]
    assert (weak.array >= strong.array).all()


def test_limits_found_are_told():
    found = SEGMENTERS.create("canny").run(volume(np.eye(30)[None] * 100.0), {"percentile": 80})
    assert found.meta["lower"] == pytest.approx(0.4 * found.meta["upper"])
    with pytest.raises(SettingsError, match="greater than upper"):
        SEGMENTERS.create("canny").run(volume(np.eye(30)[None]), {"lower": 5, "upper": 3})


def test_a_voxel_without_a_value_is_no_edge(scene):
    array = scene((6, 24, 30))
    array[3, 8:12, 10] = np.nan
    array[4, 9, 10] = np.inf
    found = SEGMENTERS.create("canny").run(volume(array))
    assert not found.array[~np.isfinite(array)].any()
    assert found.counts()[1] > 0


def test_values_beyond_products_in_32_bits_are_refused():
    with pytest.raises(InputError, match="up to 1e\\+12"):
        SEGMENTERS.create("canny").run(volume(np.eye(9)[None] * 1e30))
