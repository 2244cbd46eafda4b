"""Filters against their libraries, borders, grids and bad input."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS


def volume(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry.from_spacing(array.shape[:3], spacing))


def test_the_registry_finds_the_filters():
    assert {"gaussian", "median"} <= set(PREPROCESS.names())


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.5, 1.0, 2.5)])
def test_gaussian_is_scipys_with_sigma_in_mm(rng, spacing):
    from scipy.ndimage import gaussian_filter

    array = rng.normal(size=(16, 18, 30))
    result = PREPROCESS.create("gaussian").run(volume(array, spacing), {"sigma_mm": 1.1})
    expected = gaussian_filter(array, [1.1 / s for s in spacing[::-1]], mode="reflect")
    np.testing.assert_allclose(result.array, expected, rtol=0, atol=1e-12)
    assert result.array.dtype == np.float64


def test_gaussian_of_integers_is_float32_and_keeps_the_mean(rng):
    array = rng.integers(-1000, 3000, size=(12, 40, 40), dtype=np.int16)
    result = PREPROCESS.create("gaussian").run(volume(array), {"sigma_mm": 1.0})
    assert result.array.dtype == np.float32
    assert abs(float(result.array.mean()) - float(array.mean())) < 0.5
    assert float(result.array.std()) < 0.4 * float(array.std())


def test_gaussian_widens_a_point_by_sigma_in_every_direction():
    array = np.zeros((41, 41, 81), dtype=np.float64)
    array[20, 20, 40] = 1
    spacing = (0.5, 1.0, 1.0)
    result = PREPROCESS.create("gaussian").run(volume(array, spacing), {"sigma_mm": 2.0}).array
    index = np.indices(array.shape)
    centre = (20, 20, 40)
    for axis, step in enumerate(spacing[::-1]):
        variance = (result * ((index[axis] - centre[axis]) * step) ** 2).sum() / result.sum()
        assert np.sqrt(variance) == pytest.approx(2.0, rel=0.01)


def test_a_single_slice_is_smoothed_in_its_plane(rng):
    array = rng.normal(size=(1, 20, 20))
    for name in ("gaussian", "median"):
        result = PREPROCESS.create(name).run(volume(array, (1, 1, 5)))
        assert result.array.shape == array.shape
        assert result.array.std() < array.std()


def test_gaussian_refuses_a_kernel_wider_than_the_image():
    with pytest.raises(SettingsError, match="too wide"):
        PREPROCESS.create("gaussian").run(volume(np.zeros((5, 50, 50))), {"sigma_mm": 4})


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_median_is_scipys_at_every_voxel(rng, radius, dtype):
    from scipy.ndimage import median_filter

    array = (rng.normal(size=(37, 12, 14)) * 50 + 100).astype(dtype)
    result = PREPROCESS.create("median").run(volume(array), {"radius": radius})
    np.testing.assert_array_equal(result.array, median_filter(array, size=2 * radius + 1, mode="nearest"))
    assert result.array.dtype == dtype


def test_median_removes_single_wrong_voxels():
    array = np.full((9, 9, 9), 100, dtype=np.int16)
    array[4, 4, 4] = 3000
    assert (PREPROCESS.create("median").run(volume(array)).array == 100).all()


def test_colour_is_filtered_by_component(rng):
    array = rng.integers(0, 255, size=(1, 12, 12, 3), dtype=np.uint8)
    for name in ("gaussian", "median"):
        whole = PREPROCESS.create(name).run(volume(array)).array
        for c in range(3):
            np.testing.assert_array_equal(whole[..., c], PREPROCESS.create(name).run(volume(array[..., c])).array)


def test_median_refuses_a_box_larger_than_the_image():
    with pytest.raises(SettingsError, match="larger than the image"):
        PREPROCESS.create("median").run(volume(np.zeros((3, 30, 30))), {"radius": 2})


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gaussian", {"sigma_mm": 0}),
        ("gaussian", {"sigma_mm": -1}),
        ("gaussian", {"sigma_mm": float("nan")}),
        ("gaussian", {"sigma": 1}),
        ("median", {"radius": 0}),
        ("median", {"radius": 1.5}),
        ("median", {"radius": 99}),
    ],
)
def test_wrong_settings_are_refused_by_key(name, settings):
    with pytest.raises(SettingsError, match=f"{name}\\.{next(iter(settings))}"):
        PREPROCESS.create(name).run(volume(np.zeros((9, 9, 9))), settings)


@pytest.mark.parametrize("name", ["gaussian", "median"])
def test_cancel_stops_inside_the_work(rng, name):
    token = CancelToken()

    def progress(fraction, message=""):
        token.cancel()

    with pytest.raises(Cancelled):
        PREPROCESS.create(name).run(volume(rng.normal(size=(64, 16, 16))), progress=progress, cancel=token)


@pytest.mark.parametrize("radius", [5, 6])
def test_cancel_reaches_inside_a_median_of_large_boxes(rng, cancel_at_poll, radius):
    """Radius 5 goes by sorting networks, tile by tile; 6 by SimpleITK, which is stopped inside a slab."""
    array = rng.random((32, 96, 96), dtype=np.float32)
    token, seen = cancel_at_poll(4), []
    with pytest.raises(Cancelled):
        PREPROCESS.create("median").run(
            volume(array), {"radius": radius}, cancel=token, progress=lambda f, _m="": seen.append(f)
        )
    assert max(seen, default=0.0) < 0.5
