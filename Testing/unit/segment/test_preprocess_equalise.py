"""Histogram equalisation beside scikit-image's."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess.equalise import Equalise


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3], (0.7, 0.8, 2.0)), **more)


def labels(mask):
    return LabelMap(mask.astype(np.uint8), Geometry.from_spacing(mask.shape, (0.7, 0.8, 2.0)), (Segment(1, "Body"),))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4"])
@pytest.mark.parametrize("masked", [False, True])
def test_whole_numbers_are_scikit_images_in_the_images_own_range(rng, dtype, masked):
    exposure = pytest.importorskip("skimage.exposure")
    array = np.clip(rng.gamma(2, 20, size=(6, 20, 22)), 0, 250).astype(dtype)
    mask = rng.random(array.shape) < 0.4 if masked else np.ones(array.shape, dtype=bool)
    found = Equalise().run(volume(array), {"inside": "Body"}, labels=labels(mask)).array
    low, high = array[mask].min(), array[mask].max()
    rank = exposure.equalize_hist(array, mask=mask if masked else None)
    # scikit-image's interpolation between values that occur and its 0 below the smallest play no part inside the mask.
    expected = np.rint(float(low) + (float(high) - float(low)) * rank)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[mask], expected[mask].astype(dtype))


def test_grey_values_become_about_equally_frequent(rng):
    array = (rng.normal(size=(20, 40, 40)) ** 2 * 300).astype(np.int16)
    found = Equalise().run(volume(array)).array
    counts, _ = np.histogram(found, bins=8)
    assert found.max() == array.max()
    assert counts.min() > 0.7 * counts.max()
    assert np.histogram(array, bins=8)[0].min() < 0.01 * counts.max()


def test_order_is_kept(rng):
    array = rng.normal(size=(4, 12, 12)).astype(np.float32)
    found = Equalise().run(volume(array)).array
    assert found.dtype == np.float32
    assert (np.diff(found.reshape(-1)[np.argsort(array, axis=None)]) >= 0).all()


def test_real_numbers_are_their_ranks(rng):
    array = rng.normal(size=(4, 12, 12))
    found = Equalise().run(volume(array)).array
    rank = (np.argsort(np.argsort(array, axis=None)) + 1).reshape(array.shape) / array.size
    np.testing.assert_allclose(found, array.min() + np.ptp(array) * rank, atol=np.ptp(array) * 3 / array.size)


def test_wide_whole_numbers_are_counted_in_bins(rng):
    array = rng.integers(0, 2**31, size=(4, 20, 20), dtype=np.int64)
    found = Equalise().run(volume(array)).array
    rank = (np.argsort(np.argsort(array, axis=None)) + 1).reshape(array.shape) / array.size
    np.testing.assert_allclose(found, array.min() + np.ptp(array) * rank, atol=2**31 * 3 / array.size)
    assert found.dtype == np.int64


def test_a_few_neighbouring_real_numbers():
    values = np.float32(1e6) + np.arange(4, dtype=np.float32) * np.float32(0.0625)
    array = np.repeat(values, 2).reshape(1, 2, 4)
    found = Equalise().run(volume(array)).array
    span = float(values[-1] - values[0])
    expected = (float(values[0]) + span * np.array([0.25, 0.5, 0.75, 1.0])).astype(np.float32)
    np.testing.assert_array_equal(found.reshape(-1), np.repeat(expected, 2))


def test_voxels_outside_the_segment_can_be_kept(rng):
    array = rng.integers(0, 200, size=(5, 10, 10), dtype=np.int16)
    mask = np.zeros(array.shape, dtype=bool)
    mask[:, 2:8, 2:8] = True
    settings = {"inside": "Body", "outside": "keep"}
    found = Equalise().run(volume(array), settings, labels=labels(mask)).array
    changed = Equalise().run(volume(array), {"inside": "Body"}, labels=labels(mask)).array
    np.testing.assert_array_equal(found[~mask], array[~mask])
    np.testing.assert_array_equal(found[mask], changed[mask])
    assert (changed[~mask] != array[~mask]).any()


def test_nan_stays_and_is_not_counted(rng):
    array = rng.integers(0, 50, size=(3, 9, 9)).astype(np.float32)
    with_nan = array.copy()
    with_nan[1, 2:5, 2:5] = np.nan
    found = Equalise().run(volume(with_nan)).array
    counted = np.isfinite(with_nan)
    np.testing.assert_array_equal(np.isnan(found), ~counted)
    rank = np.searchsorted(np.sort(with_nan[counted]), with_nan[counted], side="right") / counted.sum()
    low, high = np.nanmin(with_nan), np.nanmax(with_nan)
    np.testing.assert_allclose(found[counted], low + (high - low) * rank, rtol=1e-6)


def test_a_constant_image_is_unchanged_and_flagged():
    found = Equalise().run(volume(np.full((2, 3, 4), 7, dtype=np.int16), unit="[hnsf'U]"))
    assert (found.array == 7).all()
    assert [flag.code for flag in found.flags] == ["INT_CONSTANT"]
    assert found.unit == "[hnsf'U]"


def test_the_result_is_no_longer_in_hounsfield_units(rng):
    image = volume(rng.integers(-1000, 1000, size=(2, 9, 9), dtype=np.int16), unit="[hnsf'U]", modality="CT")
    assert Equalise().run(image).unit == ""


@pytest.mark.parametrize("inside", ["Body", "Nowhere"])
def test_a_missing_or_empty_segment_is_refused(inside):
    array = np.zeros((2, 3, 4), dtype=np.int16)
    with pytest.raises(InputError, match=inside):
        Equalise().run(volume(array), {"inside": inside}, labels=labels(np.zeros(array.shape)))


def test_luminance_keeps_the_hue(rng):
    array = np.empty((1, 20, 20, 3), dtype=np.uint8)
    grey = np.clip(rng.gamma(1, 6, size=(1, 20, 20)) + 60, 0, 150).astype(int)
    for n, more in enumerate((0, 20, 40)):
        array[..., n] = grey + more
    found = Equalise().run(volume(array), {"colour": "luminance"}).array.astype(int)
    assert found.dtype.kind == "i"
    difference = found[..., 2] - found[..., 0]
    assert (difference == 40).all()
    luma = (found * (0.299, 0.587, 0.114)).sum(axis=3)
    assert luma.std() > grey.std()


def test_a_picture_of_one_slice(rng):
    array = rng.integers(0, 4096, size=(1, 64, 48), dtype=np.uint16)
    assert Equalise().run(volume(array)).array.shape == array.shape
