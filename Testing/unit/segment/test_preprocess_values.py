"""Maps from value to value, exact percentiles and moments, and the regions of normalisations."""

import math
import warnings

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError
from medai.core.progress import CancelToken, no_progress
from medai.segment.preprocess import _statistics
from medai.segment.preprocess._region import region_mask
from medai.segment.preprocess._statistics import binned, moments, percentiles
from medai.segment.preprocess._values import kept_type, map_values, range_of, real_type


def mapped(array, function, dtype, **more):
    return map_values(array, function, dtype, progress=no_progress, cancel=CancelToken(), **more)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", ">i2", "i4", "u4", "i8", "u8", "f4", ">f8"])
def test_a_map_is_the_function_of_every_voxel(rng, dtype):
    array = rng.integers(0, 100, size=(3, 40, 50)).astype(dtype)
    found = mapped(array, lambda v: v * 2.5 - 100, np.float64)
    np.testing.assert_array_equal(found, array.astype(np.float64) * 2.5 - 100)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_whole_numbers_are_clipped_and_never_wrap(dtype):
    info = np.iinfo(dtype)
    array = np.array([[[info.min, 1, info.max]]], dtype=dtype)
    found = mapped(array, lambda v: v * 4, dtype)
    assert found.dtype == dtype
    assert found[0, 0, 1] == 4
    assert found[0, 0, 0] == info.min
    # The largest 64-bit number is no float64: the nearest one below it that is.
    assert int(found[0, 0, 2]) >= info.max - 2048


def test_truth_values_and_halves_get_a_type_that_holds_the_result():
    assert kept_type(np.zeros(1, dtype=bool)) == np.uint8
    assert kept_type(np.zeros(1, dtype=np.float16)) == np.float32
    assert kept_type(np.zeros(1, dtype=">i2")) == np.int16
    assert real_type(np.zeros(1, dtype=">f8")) == np.float64
    assert real_type(np.zeros(1, dtype=np.int64)) == np.float32
    assert mapped(np.array([[[True, False]]]), lambda v: v * 3, np.uint8).tolist() == [[[3, 0]]]


def test_a_view_that_is_not_contiguous_and_kept_voxels(rng):
    array = rng.integers(-50, 50, size=(8, 9, 20), dtype=np.int16)[:, ::2, ::3]
    keep = array < 0
    found = mapped(array, lambda v: v + 7, np.int16, keep=keep)
    np.testing.assert_array_equal(found, np.where(keep, array, array + 7))


def test_nan_comes_back_without_a_warning():
    array = np.array([[[1.0, np.nan, np.inf]]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mapped(array, lambda v: (v - v) / (v - v), np.float32)
    assert np.isnan(found).all()


def test_a_map_can_be_cancelled_between_slabs():
    token, seen = CancelToken(), []

    def progress(fraction, message=""):
        seen.append(fraction)
        token.cancel()

    with pytest.raises(Cancelled):
        map_values(np.zeros((16, 512, 512), np.int16), lambda v: v, np.int16, progress=progress, cancel=token)
    assert 1 <= len(seen) < 4


PERCENTS = (0.0, 0.1, 1.0, 10.0, 50.0, 77.7, 99.0, 100.0)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("masked", [False, True])
def test_percentiles_are_numpys_inverted_cdf(rng, dtype, masked):
    array = (rng.gamma(2.0, 30.0, size=(7, 31, 40)) * (1 if dtype in ("u1", "i2") else 1000)).clip(0, 255e6)
    array = array.clip(0, 255).astype(dtype) if dtype == "u1" else array.astype(dtype)
    mask = rng.random(array.shape) < 0.3 if masked else None
    values = array if mask is None else array[mask]
    expected = [np.percentile(values, p, method="inverted_cdf") for p in PERCENTS]
    assert percentiles(array, PERCENTS, mask, cancel=CancelToken()) == [float(v) for v in expected]


def test_percentiles_of_a_large_background_divide_its_bin_again(rng, monkeypatch):
    """Most voxels in one bin: it is not copied but counted anew, until its values differ."""
    monkeypatch.setattr(_statistics, "GATHER", 50)
    array = rng.normal(size=(9, 20, 20)) * 1e-6
    array[:2] = 0.0
    array[4, 4, 4] = 1e6
    array[5, 5, 5] = np.nan
    expected = [np.percentile(array[np.isfinite(array)], p, method="inverted_cdf") for p in PERCENTS]
    assert percentiles(array, PERCENTS, cancel=CancelToken()) == expected


def test_percentiles_of_neighbouring_numbers():
    low = np.float32(1e6)
    array = np.array([[[low, np.nextafter(low, np.float32(2e6)), low]]])
    assert percentiles(array, (50, 100), cancel=CancelToken()) == [float(low), float(array.max())]


def test_an_infinite_range_is_refused():
    array = np.array([[[-1.7e308, 1.7e308]]])
    with pytest.raises(InputError, match="too much"):
        percentiles(array, (50,), cancel=CancelToken())
    with pytest.raises(InputError, match="too much"):
        range_of(array, None, CancelToken())


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "f8"])
def test_moments_are_numpys_in_float64(rng, dtype):
    array = rng.integers(0, 250, size=(40, 30, 20)).astype(dtype)
    mask = rng.random(array.shape) < 0.5
    found = moments(array, mask, between=(10, 200), cancel=CancelToken())
    values = array[mask & (array >= 10) & (array <= 200)].astype(np.float64)
    assert found.number == values.size
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.sd == pytest.approx(values.std(), rel=1e-12)


def test_moments_keep_their_digits_far_from_zero_over_slabs(rng, monkeypatch):
    monkeypatch.setattr(_statistics, "SLAB_VOXELS", 100)
    array = 1e9 + rng.normal(size=(20, 10, 10))
    array[3, 3, 3] = math.nan
    found = moments(array, cancel=CancelToken())
    assert found.sd == pytest.approx(np.nanstd(array), rel=1e-9)
    assert found.number == array.size - 1


def test_moments_of_nothing():
    assert moments(np.zeros((1, 2, 2)), between=(1, 2), cancel=CancelToken()) == (0, 0.0, 0.0)


def test_regions(rng):
    array = rng.integers(0, 4, size=(5, 6, 7)).astype(np.float32)
    array[0, 0, 0] = np.nan
    inside = rng.random(array.shape) < 0.5
    token = CancelToken()
    assert region_mask(array, None, "image", token) is None
    assert region_mask(array, inside, "image", token) is inside
    np.testing.assert_array_equal(region_mask(array, None, "nonzero", token), (array != 0) & ~np.isnan(array))
    mean = np.nanmean(np.where(inside, array, np.nan))
    np.testing.assert_array_equal(region_mask(array, inside, "above_mean", token), (array > mean) & inside)


@pytest.mark.parametrize(("region", "text"), [("nonzero", "different from 0"), ("above_mean", "brighter")])
def test_an_empty_region_is_refused(region, text):
    with pytest.raises(InputError, match=text):
        region_mask(np.zeros((2, 2, 2)), None, region, CancelToken())


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_bins_are_numpys_histogram_for_every_type(rng, dtype):
    array = rng.integers(0, 250, size=(5, 20, 20)).astype(dtype)
    mask = rng.random(array.shape) < 0.6
    found = binned(array, mask, 20.0, 220.0, 64, CancelToken())
    np.testing.assert_array_equal(found, np.histogram(array[mask].astype(float), bins=64, range=(20, 220))[0])
