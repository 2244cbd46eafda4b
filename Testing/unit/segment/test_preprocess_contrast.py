"""Contrast stretching: percentiles, windows, CT presets."""

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess.contrast import WINDOWS, Contrast, ContrastSettings

HU = "[hnsf'U]"


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_percentiles_are_scikit_images_rescaling(rng, dtype):
    exposure = pytest.importorskip("skimage.exposure")
    array = rng.integers(0, 250, size=(5, 20, 20)).astype(dtype)
    found = Contrast().run(volume(array), {"low_percent": 5, "high_percent": 90, "output": "unit"}).array
    limits = tuple(np.percentile(array, (5, 90), method="inverted_cdf"))
    expected = exposure.rescale_intensity(array.astype(np.float64), in_range=limits, out_range=(0, 1))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)


def test_by_default_type_and_range_are_the_images(rng):
    array = rng.normal(100, 30, size=(5, 30, 30)).astype(np.int16)
    found = Contrast().run(volume(array)).array
    assert found.dtype == np.int16
    assert (found.min(), found.max()) == (array.min(), array.max())
    assert found.std() > array.std()
    low, high = np.percentile(array, (1, 99), method="inverted_cdf")
    assert (found[array <= low] == array.min()).all()
    assert (found[array >= high] == array.max()).all()


def test_bytes_of_a_window():
    array = np.array([[[-1000, -160, 40, 240, 3000]]], dtype=np.int16)
    found = Contrast().run(volume(array), {"method": "window", "level": 40, "width": 400, "output": "byte"}).array
    assert found.dtype == np.uint8
    assert found.tolist() == [[[0, 0, 128, 255, 255]]]


@pytest.mark.parametrize("preset", sorted(WINDOWS))
def test_every_preset_is_its_window(preset):
    level, width = WINDOWS[preset]
    array = np.arange(-1100, 3000, dtype=np.int16).reshape(1, 41, 100)
    image = volume(array, modality="CT", unit=HU)
    found = Contrast().run(image, {"method": "preset", "preset": preset, "output": "unit"})
    window = {"method": "window", "level": level, "width": width, "output": "unit"}
    np.testing.assert_array_equal(found.array, Contrast().run(image, window).array)
    assert found.flags == ()
    assert found.unit == ""
    assert found.array.reshape(-1)[int(level) + 1100] == pytest.approx(0.5, abs=1e-6)


def test_the_settings_know_every_preset():
    choices = ContrastSettings.model_json_schema()["properties"]["preset"]["enum"]
    assert sorted(choices) == sorted(WINDOWS)


def test_a_preset_on_raw_values_or_mr_is_flagged():
    raw = volume(np.arange(4096, dtype=np.int16).reshape(1, 64, 64), modality="CT")
    mr = volume(np.arange(-2000, 2096, dtype=np.int16).reshape(1, 64, 64), modality="MR")
    for image in (raw, mr):
        assert [f.code for f in Contrast().run(image, {"method": "preset"}).flags] == ["INT_RANGE_NOT_HU"]
        assert Contrast().run(image, {"method": "window"}).flags == ()


def test_percentiles_inside_a_segment(rng):
    array = rng.integers(0, 10, size=(3, 8, 8), dtype=np.int16)
    array[:, 2:5, 2:5] += 100
    mask = array >= 100
    body = LabelMap(mask.astype(np.uint8), volume(array).geometry, (Segment(1, "Body"),))
    settings = {"low_percent": 0, "high_percent": 100, "inside": "Body", "output": "unit"}
    found = Contrast().run(volume(array), settings, labels=body).array
    assert (found[~mask] == 0).all()
    assert found[mask].min() == 0
    assert found[mask].max() == 1
    assert len(np.unique(found)) > 4


def test_nan_stays_but_is_no_byte():
    array = np.array([[[0.0, 1.0, np.nan, 2.0]]])
    assert np.isnan(Contrast().run(volume(array), {"output": "unit"}).array).sum() == 1
    with pytest.raises(InputError, match="byte"):
        Contrast().run(volume(array), {"output": "byte"})


def test_a_constant_image_is_unchanged_and_flagged_or_refused():
    image = volume(np.full((2, 3, 3), 40, dtype=np.int16))
    found = Contrast().run(image)
    assert (found.array == 40).all()
    assert [flag.code for flag in found.flags] == ["INT_CONSTANT"]
    with pytest.raises(InputError, match="both 40"):
        Contrast().run(image, {"output": "unit"})


def test_equal_percentiles_are_refused():
    array = np.zeros((1, 20, 20), dtype=np.int16)
    array[0, 0, 0] = 100
    with pytest.raises(InputError, match="both 0"):
        Contrast().run(volume(array))


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"low_percent": 60, "high_percent": 40}, "low_percent 60"),
        ({"method": "window", "width": 0}, "contrast.width"),
        ({"method": "window", "level": 1e9, "width": 1e-9}, "nothing beside the level"),
        ({"preset": "spleen"}, "contrast.preset"),
        ({"colour": "luminance", "output": "unit"}, "luminance"),
    ],
)
def test_bad_settings_are_refused(bad, text):
    with pytest.raises(SettingsError, match=text):
        Contrast().run(volume(np.zeros((1, 2, 2))), bad)


def test_luminance_of_a_photograph(rng):
    array = rng.integers(90, 130, size=(1, 30, 30, 1), dtype=np.uint8) + np.array([0, 20, 40], dtype=np.uint8)
    array[0, 0, 0], array[0, 0, 1] = 0, 255
    found = Contrast().run(volume(array), {"colour": "luminance"}).array
    assert found.dtype == np.uint8
    assert found[..., 1].std() > 2 * array[..., 1].std()


def test_a_real_ct_is_taken_as_hounsfield_units_and_its_lungs_are_spread(data_dir):
    image = read_volume(data_dir / "totalsegmentator" / "example_ct_sm.nii.gz")
    found = Contrast().run(image, {"method": "preset", "preset": "lung", "output": "byte"})
    assert found.flags == image.flags
    lung = (image.array > -950) & (image.array < -700)
    assert 0 < found.array[lung].min() < found.array[lung].max() < 255
    assert (found.array[image.array > 150] == 255).all()
