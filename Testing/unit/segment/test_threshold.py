"""Threshold by hand and by Otsu."""

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters.threshold import otsu


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape[:3]))


def test_manual_limits_are_both_included():
    array = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    labels = SEGMENTERS.create("threshold").run(volume(array), {"method": "manual", "lower": 5, "upper": 9})
    assert sorted(array[labels.array == 1]) == [5, 6, 7, 8, 9]
    assert labels.segments[0].name == "Foreground"


def test_otsu_equals_scikit_image_on_integers(rng):
    from skimage.filters import threshold_otsu

    array = np.concatenate([rng.normal(60, 12, 4000), rng.normal(170, 20, 2000)]).round().astype(np.uint8)
    # scikit-image returns the last value of the darker class, ours the first of the brighter one.
    assert otsu(array) == threshold_otsu(array, nbins=256) + 1


def test_otsu_separates_floats_and_negative_integers(rng):
    dark, bright = rng.normal(-900, 20, 5000), rng.normal(40, 20, 3000)
    for dtype in (np.float32, np.int16, np.int32):
        array = np.concatenate([dark, bright]).astype(dtype).reshape(8, 10, 100)
        labels = SEGMENTERS.create("threshold").run(volume(array))
        assert labels.counts()[1] == 3000


def test_otsu_on_a_wide_integer_range(rng):
    array = np.where(rng.random((10, 10, 10)) < 0.3, 1_700_000, 5).astype(np.int32)
    assert SEGMENTERS.create("threshold").run(volume(array)).counts()[1] == (array > 5).sum()


def test_nan_is_never_in_the_segment():
    array = np.array([0, 0, 0, 10, 10, np.nan, np.inf, 10]).reshape(2, 2, 2)
    labels = SEGMENTERS.create("threshold").run(volume(array))
    assert labels.counts()[1] == 3


def test_a_constant_image_is_refused():
    with pytest.raises(InputError, match="two different values"):
        SEGMENTERS.create("threshold").run(volume(np.full((4, 4, 4), 7)))


def test_nothing_inside_the_limits_is_flagged():
    labels = SEGMENTERS.create("threshold").run(volume(np.zeros((3, 3, 3))), {"method": "manual", "lower": 1})
    assert [f.code for f in labels.flags] == ["MASK_EMPTY"]
    assert labels.counts() == {1: 0}


@pytest.mark.parametrize(
    "settings",
    [{"method": "manual"}, {"lower": 3}, {"method": "manual", "lower": 5, "upper": 4}, {"method": "best"}],
)
def test_settings_that_do_not_fit_are_refused(settings):
    with pytest.raises(SettingsError):
        SEGMENTERS.create("threshold").run(volume(np.zeros((3, 3, 3))), settings)


def test_colour_is_refused():
    with pytest.raises(UnsupportedInput, match="scalar"):
        SEGMENTERS.create("threshold").run(volume(np.zeros((1, 4, 4, 3))))


def test_otsu_of_values_that_their_type_hardly_tells_apart():
    array = np.array([1e6] * 5 + [1e6 + 0.0625] * 3 + [1e6 + 50] * 4, dtype=np.float32)
    lower = otsu(array)
    assert 1e6 + 0.0625 < lower <= 1e6 + 50
    assert isinstance(lower, float)
