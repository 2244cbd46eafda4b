"""Clipping to a range or to percentiles."""

import warnings

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess.clip import Clip


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "f4", "f8", ">i2"])
def test_a_range_is_numpys_clip(rng, dtype):
    array = rng.integers(0, 4000, size=(4, 20, 20)).astype(dtype)
    found = Clip().run(volume(array, unit="[hnsf'U]"), {"method": "range", "lower": 100, "upper": 3000})
    np.testing.assert_array_equal(found.array, np.clip(array, 100, 3000))
    assert found.array.dtype == np.dtype(dtype).newbyteorder("=")
    assert found.unit == "[hnsf'U]"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"lower": 2}, [2, 2, 5, 9]), ({"upper": 4}, [-3, 2, 4, 4]), ({"lower": 1.5, "upper": 5.5}, [2, 2, 5, 5])],
)
def test_one_limit_and_limits_between_whole_numbers(limits, expected):
    array = np.array([[[-3, 2, 5, 9]]], dtype=np.int16)
    assert Clip().run(volume(array), {"method": "range", **limits}).array[0, 0].tolist() == expected


def test_metal_is_filled(rng):
    array = rng.integers(-100, 100, size=(3, 9, 9), dtype=np.int16)
    array[1, 4, 4] = 3071
    array[1, 4, 5] = -3024
    settings = {"method": "range", "lower": -1000, "upper": 3000, "replace": "fill", "fill": -1000}
    found = Clip().run(volume(array), settings).array
    assert found[1, 4, 4] == found[1, 4, 5] == -1000
    assert (found != array).sum() == 2


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_percentiles(rng, dtype):
    array = rng.normal(0, 100, size=(6, 30, 30)).astype(dtype)
    found = Clip().run(volume(array), {"low_percent": 2, "high_percent": 95}).array
    low, high = np.percentile(array, (2, 95), method="inverted_cdf")
    np.testing.assert_array_equal(found, np.clip(array, low, high))


def test_percentiles_of_a_segment(rng):
    array = rng.integers(0, 1000, size=(3, 9, 9), dtype=np.int16)
    mask = array < 500
    body = LabelMap(mask.astype(np.uint8), volume(array).geometry, (Segment(1, "Body"),))
    settings = {"low_percent": 0, "high_percent": 100, "inside": "Body"}
    found = Clip().run(volume(array), settings, labels=body).array
    np.testing.assert_array_equal(found, np.minimum(array, array[mask].max()))


def test_nan_stays_and_infinity_is_cut():
    array = np.array([[[np.nan, np.inf, -np.inf, 3.0]]], dtype=np.float32)
    found = Clip().run(volume(array), {"method": "range", "lower": 0, "upper": 10}).array[0, 0]
    np.testing.assert_array_equal(found, [np.nan, 10, 0, 3])
    found = Clip().run(volume(array), {"method": "range", "lower": 0}).array[0, 0]
    np.testing.assert_array_equal(found, [np.nan, np.inf, 0, 3])


def test_a_constant_image_stays():
    assert (Clip().run(volume(np.full((1, 3, 3), 8, dtype=np.uint8))).array == 8).all()


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"method": "range"}, "needs lower"),
        ({"lower": 3}, "belong to the method"),
        ({"method": "range", "lower": 3, "upper": 2}, "greater than upper"),
        ({"low_percent": 50, "high_percent": 50}, "low_percent 50"),
        ({"method": "range", "lower": 0, "replace": "fill", "fill": 300}, "clip.fill"),
        ({"method": "range", "lower": 0, "replace": "fill", "fill": 0.5}, "clip.fill"),
        ({"method": "range", "lower": 1.2, "upper": 1.4}, "no whole number"),
        ({"method": "range", "lower": 256}, "no whole number"),
        ({"method": "range", "upper": -1}, "no whole number"),
    ],
)
def test_bad_ranges_are_refused(bad, text):
    with pytest.raises(SettingsError, match=text):
        Clip().run(volume(np.zeros((1, 2, 2), dtype=np.uint8)), bad)


def test_each_channel_has_its_own_percentiles(rng):
    array = rng.integers(0, 255, size=(1, 20, 20, 3), dtype=np.uint8)
    found = Clip().run(volume(array), {"low_percent": 10, "high_percent": 90}).array
    for n in range(3):
        low, high = np.percentile(array[..., n], (10, 90), method="inverted_cdf")
        np.testing.assert_array_equal(found[..., n], np.clip(array[..., n], low, high))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "i8", "u8"])
def test_the_ends_of_the_type_are_kept_where_there_is_no_limit(dtype):
    info = np.iinfo(dtype)
    array = np.array([[[info.min, 5, info.max]]], dtype=dtype)
    assert Clip().run(volume(array), {"method": "range", "lower": 6}).array.tolist() == [[[6, 6, info.max]]]
    assert Clip().run(volume(array), {"method": "range", "upper": 4}).array.tolist() == [[[info.min, 4, 4]]]


def test_a_limit_beyond_the_type_is_none():
    array = np.array([[[1.0, 2.0, 3.0]]], dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Clip().run(volume(array), {"method": "range", "lower": -1e300, "upper": 1e300}).array
    np.testing.assert_array_equal(found, array)
