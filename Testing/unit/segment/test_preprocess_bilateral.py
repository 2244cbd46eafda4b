"""The bilateral filter against its definition and SimpleITK."""

import itertools
import math

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS, bilateral


def smooth(array, spacing=(1.0, 1.0, 1.0), **settings):
    volume = Volume(array, Geometry.from_spacing(array.shape[:3], spacing))
    return PREPROCESS.create("bilateral").run(volume, settings).array


def defined(array, spacing, domain, contrast):
    """The weighted mean, offset by offset."""
    steps = spacing[::-1]
    reach = [math.ceil(2.5 * domain / s) if n > 1 else 0 for s, n in zip(steps, array.shape, strict=True)]
    padded = np.pad(array.astype(np.float64), [(r, r) for r in reach], mode="edge")
    total, weights = np.zeros(array.shape), np.zeros(array.shape)
    for offset in itertools.product(*(range(-r, r + 1) for r in reach)):
        box = tuple(slice(r + o, r + o + n) for r, o, n in zip(reach, offset, array.shape, strict=True))
        distance = sum((o * s) ** 2 for o, s in zip(offset, steps, strict=True))
        weight = np.exp(-distance / (2 * domain**2) - (padded[box] - array) ** 2 / (2 * contrast**2))
        total += weight * padded[box]
        weights += weight
    return total / weights


def step(rng, shape):
    array = rng.normal(0, 20, shape)
    array[..., shape[2] // 2 :] += 100
    return array


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.8, 2.0)])
@pytest.mark.parametrize(("domain", "contrast"), [(0.9, 50.0), (0.5, 5.0)])
def test_float64_is_the_definition(rng, spacing, domain, contrast):
    array = step(rng, (9, 15, 23))
    result = smooth(array, spacing, domain_sigma_mm=domain, range_sigma=contrast)
    np.testing.assert_allclose(result, defined(array, spacing, domain, contrast), rtol=0, atol=1e-11)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.8, 2.0)])
def test_simpleitk_with_a_fine_table_agrees(rng, spacing):
    """SimpleITK leaves out differences above 4 range sigmas, whose weight is below 0.0004."""
    import SimpleITK as sitk

    array = step(rng, (9, 15, 23))
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    expected = sitk.GetArrayFromImage(sitk.Bilateral(image, 0.9, 50.0, 100_000))
    result = smooth(array, spacing, domain_sigma_mm=0.9, range_sigma=50.0)
    np.testing.assert_allclose(result, expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize("tile", [(4, 5, 6), (1, 64, 7)])
def test_tiles_join_without_a_seam(rng, monkeypatch, tile):
    monkeypatch.setattr(bilateral, "TILE", tile)
    array = step(rng, (9, 15, 23))
    np.testing.assert_allclose(smooth(array), defined(array, (1, 1, 1), 1.0, 50.0), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "i8", "f4"])
def test_other_types_are_float32(rng, dtype):
    array = np.clip(step(rng, (9, 12, 16)) + 80, 0, 255).astype(dtype)
    result = smooth(array)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, defined(array, (1, 1, 1), 1.0, 50.0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 20, 30), (20, 1, 30), (20, 30, 1), (1, 1, 30), (1, 1, 1)])
def test_an_axis_of_one_voxel_takes_no_part(rng, shape):
    array = rng.normal(size=shape) * 30
    np.testing.assert_allclose(smooth(array), defined(array, (1, 1, 1), 1.0, 50.0), rtol=0, atol=1e-11)


def test_noise_goes_and_the_edge_stays(rng):
    array = rng.normal(0, 10, (16, 16, 32))
    array[..., 16:] += 400
    result = smooth(array, range_sigma=60.0)
    assert result[..., :16].std() < 0.3 * array[..., :16].std()
    assert result[..., 16].mean() - result[..., 15].mean() > 395


def test_flips_and_turns(rng):
    array = step(rng, (10, 12, 14))
    plain = smooth(array)
    for axis in range(3):
        np.testing.assert_allclose(smooth(np.flip(array, axis)), np.flip(plain, axis), rtol=0, atol=1e-11)
    np.testing.assert_allclose(smooth(array.transpose(1, 2, 0)), plain.transpose(1, 2, 0), rtol=0, atol=1e-11)


def test_a_box_larger_than_the_image_is_refused_by_key():
    with pytest.raises(SettingsError, match=r"bilateral\.domain_sigma_mm: 4 mm needs a box of \(21, 21, 21\) voxels"):
        smooth(np.zeros((10, 40, 40)), domain_sigma_mm=4.0)


@pytest.mark.parametrize(
    "wrong", [{"domain_sigma_mm": 0}, {"range_sigma": 0}, {"range_sigma": -5}, {"domain_sigma_mm": "1"}]
)
def test_wrong_settings_are_refused_by_key(wrong):
    with pytest.raises(SettingsError, match=f"bilateral\\.{next(iter(wrong))}"):
        smooth(np.zeros((9, 9, 9)), **wrong)


def test_strange_values_are_refused():
    array = np.zeros((9, 9, 9))
    array[1, 2, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        smooth(array)


def test_cancel_stops_inside_the_work(rng, monkeypatch):
    monkeypatch.setattr(bilateral, "TILE", (4, 64, 64))
    token = CancelToken()
    volume = Volume(rng.normal(size=(32, 32, 32)), Geometry.from_spacing((32, 32, 32), (1.0, 1.0, 1.0)))
    with pytest.raises(Cancelled):
        PREPROCESS.create("bilateral").run(volume, progress=lambda fraction, message="": token.cancel(), cancel=token)
