"""Local thresholds against scikit-image, slab by slab, in the plane and in space."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS, local_threshold
from medai.segment.segmenters.local_threshold import LocalThresholdSettings, block_size, tiles_of


def volume(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry.from_spacing(array.shape, spacing))


def run(array, spacing=(1.0, 1.0, 1.0), **settings):
    return SEGMENTERS.create("local_threshold").run(volume(array, spacing), settings)


@pytest.fixture
def image(rng):
    return rng.integers(-1000, 3000, (9, 22, 26)).astype(np.int16)


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch):
    """Several slabs, so that their seams are tested, too."""
    monkeypatch.setattr(local_threshold, "TILE_VOXELS", 2 * 22 * 26)
    monkeypatch.setattr(local_threshold, "MEDIAN_WORK", 2 * 22 * 26 * 35)


@pytest.mark.parametrize("method", ["mean", "gaussian", "median"])
@pytest.mark.parametrize("dimensions", ["2D", "3D"])
@pytest.mark.parametrize("dtype", [np.int16, np.float64])
def test_it_equals_scikit_image(image, method, dimensions, dtype):
    """Spacing 1, 1.4, 2.5 mm: blocks of 7, 5 and 3 voxels."""
    from skimage.filters import threshold_local

    array = image.astype(dtype)
    size = (3 if dimensions == "3D" else 1, 5, 7)
    expected = array > threshold_local(array.astype(np.float64), size, method, offset=10)
    labels = run(array, (1.0, 1.4, 2.5), method=method, dimensions=dimensions, block_mm=7.0, offset=10.0)
    assert np.array_equal(labels.array, expected)


@pytest.mark.parametrize("method", ["niblack", "sauvola"])
@pytest.mark.parametrize("dimensions", ["2D", "3D"])
def test_it_equals_scikit_images_mean_and_spread(image, method, dimensions):
    from skimage import filters

    array = (image + 1000).astype(np.float64)
    size = (3 if dimensions == "3D" else 1, 5, 7)
    more = {"r": 500.0} if method == "sauvola" else {}
    threshold = getattr(filters, f"threshold_{method}")(array, size, k=0.3, **more)
    labels = run(array, (1.0, 1.4, 2.5), method=method, dimensions=dimensions, block_mm=7.0, k=0.3, **more)
    assert np.array_equal(labels.array, array > threshold)


def test_a_block_is_odd_and_at_least_three():
    image = volume(np.zeros((5, 6, 7)), (0.5, 2.0, 40.0))
    assert block_size(image, LocalThresholdSettings(block_mm=5.0, dimensions="3D")) == (3, 3, 9)
    assert block_size(image, LocalThresholdSettings(block_mm=5.0)) == (1, 3, 9)
    assert block_size(volume(np.zeros((1, 6, 7))), LocalThresholdSettings(block_mm=5.0, dimensions="3D"))[0] == 1


@pytest.mark.parametrize("reach", [(0, 3), (1, 2), (4, 0)])
@pytest.mark.parametrize("work", [0, 100])
def test_tiles_cover_the_image_once(reach, work):
    seen = np.zeros((40, 50, 6), dtype=int)
    for k, j in tiles_of(seen.shape, reach, work):
        seen[k, j] += 1
    assert (seen == 1).all()


def test_many_tiles_equal_one(rng, monkeypatch):
    """Large enough for several tiles along both axes, on both kinds of border."""
    array = rng.normal(0, 100, (40, 45, 8))
    for method in ("mean", "gaussian", "sauvola"):
        tiled = run(array, method=method, dimensions="3D", block_mm=5.0, r=300.0).array
        with monkeypatch.context() as patch:
            patch.setattr(local_threshold, "tiles_of", lambda shape, *_: [(slice(0, shape[0]), slice(0, shape[1]))])
            assert np.array_equal(run(array, method=method, dimensions="3D", block_mm=5.0, r=300.0).array, tiled)


def test_a_block_larger_than_the_image_is_mirrored(rng):
    from skimage.filters import threshold_local

    array = rng.random((4, 6, 5))
    expected = array > threshold_local(array, (21, 21, 21), "mean")
    assert np.array_equal(run(array, method="mean", dimensions="3D", block_mm=21.0).array, expected)


def test_drifting_brightness_that_one_threshold_cannot_follow():
    drift = np.linspace(0, 1000, 60)
    array = np.broadcast_to(drift, (6, 40, 60)).copy()
    truth = np.zeros(array.shape, bool)
    truth[:, 4::10, :] = truth[:, 5::10, :] = True
    array += 100.0 * truth
    found = run(array.astype(np.int16), method="mean", block_mm=11.0).array == 1
    whole = SEGMENTERS.create("threshold").run(volume(array.astype(np.int16))).array == 1
    assert np.mean(found == truth) > 0.97
    assert np.mean(whole == truth) < 0.7


@pytest.mark.parametrize("method", ["mean", "gaussian", "median", "niblack", "sauvola"])
def test_a_flat_image_is_empty_and_flagged(method):
    labels = run(np.full((5, 12, 12), 1234.567), method=method, k=-0.2 if method == "sauvola" else 0.0)
    assert labels.counts() == {1: 0}
    assert [f.code for f in labels.flags] == ["MASK_EMPTY"]


def test_the_darker_side_inside_and_nan(image):
    array = image.astype(np.float32)
    array[2, 3, 4] = np.nan
    bright = run(array).array
    box = np.zeros(array.shape, np.uint8)
    box[:, :10] = 1
    inside = LabelMap(box, volume(array).geometry, (Segment(1, "Box"),))
    dark = (
        SEGMENTERS.create("local_threshold")
        .run(volume(array), {"side": "darker", "inside": "Box"}, labels=inside)
        .array
    )
    assert bright[2, 3, 4] == dark[2, 3, 4] == 0
    expected = (box == 1) & (bright == 0)
    expected[2, 3, 4] = False
    assert np.array_equal(dark == 1, expected)
