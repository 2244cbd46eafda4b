"""Z-scores beside NumPy's."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess.zscore import Zscore


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("region", ["image", "nonzero", "above_mean"])
def test_it_is_numpys_in_every_region(rng, dtype, region):
    array = rng.integers(0, 200, size=(6, 20, 20)).astype(dtype)
    array[:, :5] = 0
    values = array.astype(np.float64)
    chosen = {"image": values > -1, "nonzero": values != 0, "above_mean": values > values.mean()}[region]
    found = Zscore().run(volume(array), {"region": region}).array
    np.testing.assert_allclose(found, (values - values[chosen].mean()) / values[chosen].std(), rtol=2e-6, atol=1e-6)
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)


def test_inside_a_segment(rng):
    array = rng.normal(50, 10, size=(6, 12, 12)).astype(np.float32)
    mask = rng.random(array.shape) < 0.3
    body = LabelMap(mask.astype(np.uint8), volume(array).geometry, (Segment(1, "Brain"),))
    found = Zscore().run(volume(array), {"inside": "Brain"}, labels=body).array
    assert found[mask].mean() == pytest.approx(0, abs=1e-5)
    assert found[mask].std() == pytest.approx(1, rel=1e-5)
    assert abs(found[~mask].mean()) > 1e-5


def test_the_scale_and_the_shift_of_the_image_do_not_matter(rng):
    array = rng.normal(size=(4, 10, 10))
    np.testing.assert_allclose(
        Zscore().run(volume(array)).array, Zscore().run(volume(array * 37 + 1e4)).array, atol=1e-9
    )


def test_nan_and_infinity_stay_and_are_not_counted(rng):
    array = rng.normal(size=(3, 9, 9)).astype(np.float32)
    array[0, 0, 0], array[1, 1, 1] = np.nan, np.inf
    found = Zscore().run(volume(array)).array
    assert np.isnan(found[0, 0, 0])
    assert np.isposinf(found[1, 1, 1])
    assert found[np.isfinite(found)].std() == pytest.approx(1, rel=1e-5)


def test_the_unit_is_gone(rng):
    assert Zscore().run(volume(rng.normal(size=(2, 5, 5)), unit="[hnsf'U]")).unit == ""


@pytest.mark.parametrize("array", [np.full((2, 3, 4), 5, np.int16), np.full((1, 2, 2), np.nan)])
def test_a_constant_image_or_one_without_values_is_refused(array):
    with pytest.raises(InputError, match="two different values"):
        Zscore().run(volume(array))


def test_each_channel_alone(rng):
    array = rng.integers(0, 255, size=(1, 16, 16, 3), dtype=np.uint8)
    found = Zscore().run(volume(array)).array
    np.testing.assert_allclose(found.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(0, 1, 2)), 1, rtol=1e-5)
