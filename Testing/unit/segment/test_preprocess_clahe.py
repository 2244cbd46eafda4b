"""Adaptive equalisation beside scikit-image's."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess import _tiles
from medai.segment.preprocess._tiles import Axis, maps_of
from medai.segment.preprocess.clahe import Clahe


def volume(array, spacing=(1.0, 1.0, 1.0), **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3], spacing), **more)


def picture(rng, shape=(200, 240)):
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (2000 * np.sin(x / 30) * np.cos(y / 25) + rng.normal(0, 200, shape) + 3000).clip(0, 65535).astype(np.uint16)


def stretched(array):
    array = array.astype(np.float64)
    return (array - array.min()) / np.ptp(array)


@pytest.fixture
def scikit_images_centres(monkeypatch):
    """Place the tiles' centres where scikit-image has them, to see that nothing else differs."""
    original = Axis.of.__func__

    def of(cls, size, edge):
        axis = original(cls, size, edge)
        place = (np.arange(size) + edge // 2) / edge
        after = np.floor(place).astype(np.intp)
        low, high = (np.clip(n, 0, axis.count - 1) for n in (after - 1, after))
        return cls(size, edge, axis.count, axis.index, low, high, (place - after).astype(np.float32))

    monkeypatch.setattr(_tiles.Axis, "of", classmethod(of))


@pytest.mark.parametrize(
    ("tile", "clip", "mean"), [(40, 0.01, 0.02), (64, 0.01, 0.005), (40, 0.03, 0.006), (64, 1, 0.003)]
)
def test_a_slice_is_nearly_scikit_images(rng, tile, clip, mean):
    exposure = pytest.importorskip("skimage.exposure")
    array = picture(rng)
    settings = {"tile": tile, "tile_unit": "voxel", "clip_limit": clip}
    found = Clahe().run(volume(array[None]), settings).array[0]
    difference = np.abs(stretched(found) - exposure.equalize_adapthist(array, kernel_size=tile, clip_limit=clip))
    assert found.dtype == np.uint16
    assert difference.mean() < mean
    assert difference.max() < 0.05


@pytest.mark.parametrize("tile", [40, 33])
@pytest.mark.usefixtures("scikit_images_centres")
def test_but_for_the_centres_a_slice_is_scikit_images_where_nothing_is_clipped(rng, tile):
    exposure = pytest.importorskip("skimage.exposure")
    array = picture(rng)
    found = Clahe().run(volume(array[None]), {"tile": tile, "tile_unit": "voxel", "clip_limit": 1}).array[0]
    expected = exposure.equalize_adapthist(array, kernel_size=tile, clip_limit=1.0)
    assert np.abs(stretched(found) - expected).max() < 5e-4


@pytest.mark.usefixtures("scikit_images_centres")
def test_but_for_the_centres_boxes_are_scikit_images_where_nothing_is_clipped(rng):
    exposure = pytest.importorskip("skimage.exposure")
    array = (rng.gamma(3, 20, size=(20, 40, 44)) + np.linspace(0, 300, 44)).astype(np.int16)
    # 12 mm are 6, 12 and 10 voxels.
    settings = {"tile": 12, "mode": "volume", "clip_limit": 1}
    found = Clahe().run(volume(array, (1.2, 1.0, 2.0)), settings).array
    expected = exposure.equalize_adapthist(array, kernel_size=(6, 12, 10), clip_limit=1.0)
    # The image's own 16-bit range is coarse: one grey value of about 600.
    assert np.abs(stretched(found) - expected).max() < 2.5 / np.ptp(array)


def test_mode_slice_knows_nothing_of_other_slices(rng):
    array = np.stack([picture(rng, (60, 70)), picture(rng, (60, 70))[::-1]])
    array[:, 0, 0], array[:, 0, 1] = array.min(), array.max()  # the same range alone
    together = Clahe().run(volume(array), {"tile": 20}).array
    for k in (0, 1):
        np.testing.assert_array_equal(together[k], Clahe().run(volume(array[k : k + 1]), {"tile": 20}).array[0])
    assert not np.array_equal(together, Clahe().run(volume(array), {"tile": 20, "mode": "volume"}).array)


@pytest.mark.parametrize("mode", ["slice", "volume"])
def test_turning_the_image_turns_the_result(rng, mode):
    array = rng.normal(size=(8, 24, 32)).astype(np.float32)
    settings = {"tile": 8, "tile_unit": "voxel", "mode": mode}
    found = Clahe().run(volume(array), settings).array
    for axis in (0, 1, 2):
        flipped = Clahe().run(volume(np.flip(array, axis).copy()), settings).array
        np.testing.assert_allclose(np.flip(flipped, axis), found, atol=1e-5)


def test_contrast_rises_within_a_dark_and_a_bright_half(rng):
    array = rng.normal(100, 5, size=(1, 64, 64))
    array[..., 32:] += 800
    found = Clahe().run(volume(array), {"tile": 16, "clip_limit": 0.05}).array
    for half in (found[..., :24], found[..., 40:]):
        assert half.std() > 8 * 5


def test_a_smaller_limit_is_gentler(rng):
    array = rng.normal(100, 5, size=(1, 64, 64))
    array[0, 0, 0], array[0, 0, 1] = 0, 1000
    spread = [
        Clahe().run(volume(array), {"tile": 32, "clip_limit": c}).array[0, 2:].std() for c in (0.001, 0.01, 0.05, 1)
    ]
    assert spread == sorted(spread)
    assert spread[3] > 3 * spread[0]


def test_nan_is_not_counted_and_stays(rng):
    array = rng.normal(size=(1, 40, 40)).astype(np.float32)
    array[0, 10:20, 10:20] = np.nan
    found = Clahe().run(volume(array), {"tile": 10}).array
    np.testing.assert_array_equal(np.isnan(found), np.isnan(array))
    assert np.nanmin(found) >= np.nanmin(array)
    assert np.nanmax(found) <= np.nanmax(array)


def test_maps_end_at_one_and_an_empty_tile_is_a_straight_line():
    counts = np.array([[0, 0, 0, 0, 9], [8, 0, 0, 0, 3], [1, 2, 3, 2, 0]])
    maps = maps_of(counts, 0.5)
    np.testing.assert_allclose(maps[0, :-1], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(maps[1, :-1], np.cumsum([4, 4 / 3, 4 / 3, 4 / 3]) / 8, rtol=1e-5)
    np.testing.assert_allclose(maps[2, :-1], np.array([1, 3, 6, 8]) / 8)


def test_a_tile_below_two_voxels_is_refused_with_the_limit():
    with pytest.raises(SettingsError, match=r"clahe\.tile: 0\.5 mm") as caught:
        Clahe().run(volume(np.zeros((2, 9, 9)), (0.7, 0.7, 3.0)), {"tile": 0.5})
    assert "1.4 mm" in caught.value.hint


@pytest.mark.parametrize("shape", [(1, 1, 30), (3, 2, 2), (1, 7, 1)])
def test_thin_images(rng, shape):
    array = rng.integers(0, 200, size=shape, dtype=np.uint8)
    for mode in ("slice", "volume"):
        assert Clahe().run(volume(array), {"mode": mode}).array.shape == shape


def test_a_constant_image_is_unchanged_and_flagged():
    found = Clahe().run(volume(np.full((2, 9, 9), 4, dtype=np.int16)))
    assert (found.array == 4).all()
    assert [flag.code for flag in found.flags] == ["INT_CONSTANT"]


def test_luminance_of_a_photograph(rng):
    array = np.repeat(rng.integers(100, 130, size=(1, 40, 40, 1), dtype=np.uint8), 3, axis=3)
    array[0, 0, 0], array[0, 0, 1] = 0, 255
    found = Clahe().run(volume(array), {"tile": 10, "colour": "luminance", "clip_limit": 0.1}).array
    assert found.dtype == np.uint8
    assert (found[..., 0] == found[..., 2]).all()
    assert found[..., 0].std() > 2 * array[..., 0].std()


@pytest.mark.parametrize("mode", ["slice", "volume"])
def test_it_can_be_cancelled_between_slices(rng, mode):
    token, seen = CancelToken(), []

    def progress(fraction, message=""):
        seen.append(fraction)
        token.cancel()

    with pytest.raises(Cancelled):
        Clahe().run(volume(rng.normal(size=(40, 9, 9))), {"mode": mode}, progress=progress, cancel=token)
    assert len(seen) < 10
