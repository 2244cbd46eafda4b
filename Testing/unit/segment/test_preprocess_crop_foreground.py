"""Cropping to the foreground: MONAI's box, margins in mm, segments, and images without any."""

import warnings

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.pipeline import run_pipeline
from medai.segment.preprocess import PREPROCESS


def volume(array, spacing=(1.0, 2.0, 3.0)):
    return Volume(array, Geometry.from_spacing(array.shape[:3], spacing, (5.0, 6.0, 7.0)))


def body(dtype=np.int16):
    array = np.full((14, 16, 18), 10)
    array[4:9, 5:11, 6:13] = 200
    return array.astype(dtype)


def foreground(image, labels=None, **settings):
    return PREPROCESS.create("crop_foreground").run(image, settings, labels=labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("settings", [{"by": "otsu"}, {"by": "threshold", "threshold": 100.0}])
def test_the_smallest_box(dtype, settings):
    array = body(dtype)
    result = foreground(volume(array), margin_mm=0.0, **settings)
    np.testing.assert_array_equal(result.array, array[4:9, 5:11, 6:13])
    assert result.geometry.origin == (5.0 + 6, 6.0 + 5 * 2, 7.0 + 4 * 3)
    assert result.array.dtype == dtype


def test_the_margin_is_in_mm_and_ends_at_the_image():
    array = body()
    result = foreground(volume(array), margin_mm=4.0)
    # 4 mm are 4 voxels of 1 mm, 2 of 2 mm, 2 of 3 mm (rounded up)
    np.testing.assert_array_equal(result.array, array[2:11, 3:13, 2:17])
    assert foreground(volume(array), margin_mm=100.0).geometry == volume(array).geometry


def test_a_value_at_the_threshold_is_background():
    array = body()
    assert [f.code for f in foreground(volume(array), by="threshold", threshold=200.0).flags] == ["MASK_EMPTY"]
    assert foreground(volume(array), by="threshold", threshold=199.0, margin_mm=0.0).array.shape == (5, 6, 7)


def test_nothing_found_leaves_the_image_whole_and_says_so():
    image = volume(body())
    result = foreground(image, by="threshold", threshold=1000.0)
    assert result.geometry == image.geometry
    assert [f.code for f in result.flags] == ["MASK_EMPTY"]


def test_a_constant_image_has_no_otsu():
    with pytest.raises(InputError, match="constant"):
        foreground(volume(np.full((5, 5, 5), 3, np.int16)))


def test_nan_is_no_foreground():
    array = body(np.float32)
    array[0, 0, 0] = np.nan
    array[1, 1, 1] = -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = foreground(volume(array), margin_mm=0.0)
    assert result.array.shape == (5, 6, 7)


def test_a_segment_is_the_foreground():
    image = volume(np.zeros((10, 11, 12), np.int16))
    array = np.zeros(image.geometry.shape, np.uint8)
    array[2:4, 3:7, 5:6] = 2
    labels = LabelMap(array, image.geometry, (Segment(2, "Liver"), Segment(3, "Empty")))
    result = foreground(image, labels, by="segment", inside="Liver", margin_mm=0.0)
    assert result.array.shape == (2, 4, 1)
    with pytest.raises(SettingsError, match=r"crop_foreground\.inside"):
        foreground(image, labels, by="segment")
    with pytest.raises(InputError, match="no segment called 'Spleen'"):
        foreground(image, labels, by="segment", inside="Spleen")
    with pytest.raises(InputError, match="'Empty' to work inside is empty"):
        foreground(image, labels, by="segment", inside="Empty")
    with pytest.raises(InputError, match="nothing was segmented"):
        foreground(image, by="segment", inside="Liver")


def test_only_inside_a_segment():
    array = body()
    array[0, 0, 0] = 900
    image = volume(array)
    mask = np.zeros(array.shape, np.uint8)
    mask[3:12] = 1
    labels = LabelMap(mask, image.geometry, (Segment(1, "Slab"),))
    assert foreground(image, labels, inside="Slab", margin_mm=0.0).array.shape == (5, 6, 7)
    assert foreground(image, by="threshold", threshold=50.0, margin_mm=0.0).array.shape == (9, 11, 13)


def test_colour_by_luminance_and_a_single_slice_stays():
    array = np.zeros((1, 20, 22, 3), np.uint8)
    array[:, 5:9, 6:12] = (30, 200, 90)
    result = foreground(volume(array, (1.0, 1.0, 4.0)), margin_mm=2.0)
    np.testing.assert_array_equal(result.array, array[:, 3:11, 4:14])


def test_it_is_monais_box(rng):
    pytest.importorskip("torch")
    monai = pytest.importorskip("monai.transforms")
    array = rng.normal(0, 1, (12, 13, 14)).astype(np.float32)
    array[3:7, 4:9, 5:6] += 50
    theirs = monai.CropForeground(select_fn=lambda x: x > 20, margin=[2, 1, 3], allow_smaller=True)(array[None])
    ours = foreground(volume(array, (1.0, 3.0, 1.5)), by="threshold", threshold=20.0, margin_mm=3.0)
    np.testing.assert_array_equal(ours.array, np.asarray(theirs)[0])


def test_labels_lie_on_the_inputs_grid():
    image = volume(body())
    steps = [
        {"step": "crop_foreground", "settings": {"margin_mm": 1.0}},
        {"step": "threshold", "settings": {"method": "manual", "lower": 100, "name": "Body"}},
    ]
    found = run_pipeline(image, steps)
    np.testing.assert_array_equal(found.labels.array > 0, image.array >= 100)
    assert found.image.geometry.shape != image.geometry.shape
    twice = [steps[1], {"step": "crop_foreground", "settings": {"by": "segment", "inside": "Body", "margin_mm": 0.0}}]
    assert run_pipeline(image, twice).image.geometry.shape == (5, 6, 7)
