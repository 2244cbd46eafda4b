"""Min-max scaling beside scikit-image's."""

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess.minmax import Minmax


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "i8", "f4", "f8"])
def test_it_is_scikit_images(rng, dtype):
    exposure = pytest.importorskip("skimage.exposure")
    array = rng.integers(-100 if dtype[0] != "u" else 0, 100, size=(5, 9, 11)).astype(dtype)
    found = Minmax().run(volume(array), {"low": -1, "high": 3}).array
    expected = exposure.rescale_intensity(array.astype(np.float64), out_range=(-1.0, 3.0))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)
    assert (found.min(), found.max()) == (-1, 3)


def test_outside_the_segment_the_line_goes_on_or_is_clipped(rng):
    array = rng.integers(0, 1000, size=(4, 9, 9), dtype=np.int16)
    mask = (array >= 300) & (array <= 600)
    body = LabelMap(mask.astype(np.uint8), volume(array).geometry, (Segment(1, "Body"),))
    low, high = array[mask].min(), array[mask].max()
    expected = (array - float(low)) / (float(high) - low)
    found = Minmax().run(volume(array), {"inside": "Body"}, labels=body).array
    np.testing.assert_allclose(found, expected, atol=1e-6)
    clipped = Minmax().run(volume(array), {"inside": "Body", "clip": True}, labels=body).array
    np.testing.assert_allclose(clipped, np.clip(expected, 0, 1), atol=1e-6)


def test_nan_stays_and_infinity_is_not_counted():
    array = np.array([[[1.0, 3.0, np.nan, np.inf]]])
    np.testing.assert_array_equal(Minmax().run(volume(array)).array[0, 0], [0, 1, np.nan, np.inf])
    np.testing.assert_array_equal(Minmax().run(volume(array), {"clip": True}).array[0, 0], [0, 1, np.nan, 1])


def test_a_constant_image_and_a_reversed_range_are_refused():
    with pytest.raises(InputError, match="constant"):
        Minmax().run(volume(np.full((2, 3, 4), 5, np.int16)))
    with pytest.raises(SettingsError, match="low 2 must be smaller than high 1"):
        Minmax().run(volume(np.zeros((1, 2, 2))), {"low": 2})


def test_each_channel_alone(rng):
    array = rng.integers(10, 200, size=(1, 16, 16, 3), dtype=np.uint8)
    found = Minmax().run(volume(array)).array
    np.testing.assert_array_equal(found.max(axis=(0, 1, 2)), 1)
    np.testing.assert_array_equal(found.min(axis=(0, 1, 2)), 0)
