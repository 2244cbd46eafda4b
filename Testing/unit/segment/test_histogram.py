"""Histograms made slab by slab equal those made at once."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError
from medai.core.progress import CancelToken
from medai.segment.histogram import histogram_of, value_range


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u2", "i4", "i8", "?"])
def test_whole_numbers_are_counted_one_by_one(rng, dtype):
    array = rng.integers(0, 2 if dtype == "?" else 120, (9, 30, 31)).astype(dtype)
    found = histogram_of(array)
    values, counts = np.unique(array, return_counts=True)
    assert found.exact
    assert np.array_equal(found.centres[found.counts > 0], values.astype(float))
    assert np.array_equal(found.counts[found.counts > 0], counts)


def test_the_whole_range_of_sixteen_bits_does_not_wrap():
    array = np.array([[[-32768, -32768, 0, 32767]]], dtype=np.int16)
    found = histogram_of(array)
    assert found.total == 4
    assert (found.centres[0], found.centres[-1]) == (-32768, 32767)
    assert found.counts[0] == 2


def test_real_numbers_fall_into_the_bins_of_numpy(rng):
    array = rng.normal(0, 50, (7, 40, 41)).astype(np.float32)
    found = histogram_of(array, bins=256)
    counts, edges = np.histogram(array.astype(np.float64), bins=256)
    assert found.total == array.size
    assert np.allclose(found.edges, edges[:-1])
    # A value on a bin's edge may fall to either side by rounding.
    assert np.abs(np.cumsum(found.counts) - np.cumsum(counts)).max() <= 2


def test_wide_whole_numbers_and_neighbouring_reals_are_counted_too():
    wide = histogram_of(np.array([[[0, 1, 1 << 40]]]), bins=16)
    assert wide.total == 3
    assert not wide.exact
    near = np.nextafter(1e20, 2e20)
    few = histogram_of(np.array([[[1e20, near, near]]]))
    assert few.exact
    assert list(few.counts) == [1, 2]


def test_nan_and_infinity_are_not_counted():
    array = np.array([[[1.0, np.nan, np.inf, 3.0]]])
    found = histogram_of(array)
    assert found.total == 2
    assert found.ignored == 2
    assert value_range(array) == (1.0, 3.0, 2, 2)


def test_only_the_mask_counts(rng):
    array = rng.integers(0, 50, (5, 6, 7)).astype(np.int16)
    mask = rng.random((5, 6, 7)) < 0.3
    assert histogram_of(array, mask).total == mask.sum()
    with pytest.raises(InputError, match="no finite value"):
        histogram_of(array, np.zeros_like(mask))


def test_percentiles_are_values_of_the_image(rng):
    array = rng.integers(0, 1000, (20, 20, 20)).astype(np.int16)
    found = histogram_of(array)
    ordered = np.sort(array.reshape(-1))
    for percent in (0, 1, 25, 50, 99, 100):
        assert found.percentile(percent) == ordered[max(0, int(np.ceil(percent / 100 * array.size)) - 1)]


def test_one_value_is_refused_by_name():
    with pytest.raises(InputError, match=r"^Otsu's method needs at least two"):
        histogram_of(np.full((2, 2, 2), 7)).require_two_values("Otsu's method")


def test_cancel_stops_it(rng):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        histogram_of(rng.integers(0, 5, (4, 4, 4)), cancel=token)
