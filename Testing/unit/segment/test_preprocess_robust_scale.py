"""Scaling by percentiles."""

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess.robust_scale import RobustScale


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_percentiles(rng, dtype):
    array = rng.gamma(2, 20, size=(6, 20, 20)).clip(0, 255).astype(dtype)
    low, high = np.percentile(array, (5, 95), method="inverted_cdf").astype(float)
    found = RobustScale().run(volume(array), {"low_percent": 5, "high_percent": 95}).array
    expected = (array.astype(float) - low) / (high - low)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    clipped = RobustScale().run(volume(array), {"low_percent": 5, "high_percent": 95, "clip": True}).array
    np.testing.assert_allclose(clipped, np.clip(expected, 0, 1), atol=1e-6)
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)


def test_the_interquartile_range(rng):
    array = rng.normal(300, 40, size=(6, 20, 20))
    q1, q2, q3 = np.percentile(array, (25, 50, 75), method="inverted_cdf")
    found = RobustScale().run(volume(array), {"method": "iqr"}).array
    np.testing.assert_allclose(found, (array - q2) / (q3 - q1), atol=1e-12)


def test_a_few_extreme_voxels_change_nothing(rng):
    array = rng.integers(0, 100, size=(6, 20, 20), dtype=np.int16)
    spiked = array.copy()
    spiked[0, 0, :3] = 30000
    one, two = (RobustScale().run(volume(a), {"low_percent": 5, "high_percent": 95}).array for a in (array, spiked))
    np.testing.assert_allclose(one[1:], two[1:], atol=0.03)


def test_inside_a_segment(rng):
    array = rng.normal(0, 1, size=(6, 12, 12))
    mask = array > 0
    body = LabelMap(mask.astype(np.uint8), volume(array).geometry, (Segment(1, "Body"),))
    settings = {"inside": "Body", "low_percent": 0, "high_percent": 100}
    found = RobustScale().run(volume(array), settings, labels=body).array
    assert found[mask].min() == 0
    assert found[mask].max() == 1
    assert (found[~mask] < 0).all()


def test_nan_stays(rng):
    array = rng.normal(size=(3, 9, 9)).astype(np.float32)
    array[1, 1, 1] = np.nan
    assert np.isnan(RobustScale().run(volume(array)).array).sum() == 1


def test_equal_percentiles_are_refused():
    array = np.zeros((1, 20, 20), dtype=np.int16)
    array[0, 0, 0] = 9
    for method in ("percentiles", "iqr"):
        with pytest.raises(InputError, match="both 0"):
            RobustScale().run(volume(array), {"method": method})


@pytest.mark.parametrize(
    ("bad", "text"),
    [({"low_percent": 99, "high_percent": 1}, "low_percent 99"), ({"method": "iqr", "clip": True}, "clip belongs")],
)
def test_bad_settings_are_refused(bad, text):
    with pytest.raises(SettingsError, match=text):
        RobustScale().run(volume(np.zeros((1, 2, 2))), bad)
