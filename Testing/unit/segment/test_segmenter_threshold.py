"""Every method of the threshold segmenter against the libraries that have it, and the intervals it fills."""

import math

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, no_progress
from medai.core.volume import Volume
from medai.segment.histogram import histogram_of
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters._intervals import after, label_intervals
from medai.segment.segmenters._thresholds import METHODS, first_bright_value
from medai.segment.segmenters.threshold import automatic_threshold, otsu


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


def bimodal(rng, dark=60.0, bright=170.0, share=0.3):
    count = int(20_000 * share)
    values = np.concatenate([rng.normal(dark, 12, 20_000 - count), rng.normal(bright, 20, count)])
    return values.round().clip(0, 255).reshape(20, 20, 50)


@pytest.fixture(params=[0.05, 0.3, 0.7])
def image(request, rng):
    return bimodal(rng, share=request.param).astype(np.int16)


def test_methods_equal_scikit_image_on_whole_numbers(image):
    """scikit-image returns the last value of the darker class (Li: a number between), ours the first brighter one."""
    from skimage import filters

    assert otsu(image) == filters.threshold_otsu(image) + 1
    assert automatic_threshold(image, "isodata") == filters.threshold_isodata(image) + 1
    assert automatic_threshold(image, "triangle") == filters.threshold_triangle(image) + 1
    assert automatic_threshold(image, "li") == math.floor(filters.threshold_li(image.copy())) + 1
    # scikit-image computes Yen's criterion in float32: where it is flat, a value or two aside is as good.
    assert abs(automatic_threshold(image, "yen") - filters.threshold_yen(image) - 1) <= 2


@pytest.mark.parametrize("method", ["otsu", "isodata", "triangle", "yen"])
def test_methods_equal_scikit_image_on_real_numbers_of_the_same_bins(image, rng, method):
    from skimage import filters

    array = image + rng.random(image.shape)
    histogram = histogram_of(array, bins=4096)
    centres = (histogram.counts, histogram.centres)
    if method == "triangle":
        theirs = filters.threshold_triangle(array, nbins=4096)
    else:
        theirs = getattr(filters, f"threshold_{method}")(hist=centres)
    width = histogram.edges[1] - histogram.edges[0]
    ours = first_bright_value(histogram, method)
    assert ours == pytest.approx(theirs + width / 2, abs=0.01 * width if method != "yen" else 8 * width)


@pytest.mark.parametrize(("method", "name"), [("otsu", "Otsu"), ("li", "Li")])
def test_methods_agree_with_simpleitk(image, method, name):
    """With one bin a value.

    Its triangle takes the 1st and 99th percentile for the ends of the tails, and its isodata another start: those two
    are compared with scikit-image alone.
    """
    sitk = pytest.importorskip("SimpleITK")
    theirs = getattr(sitk, f"{name}ThresholdImageFilter")()
    theirs.SetNumberOfHistogramBins(int(image.max()) - int(image.min()) + 1)
    theirs.Execute(sitk.GetImageFromArray(image))
    assert abs(automatic_threshold(image, method) - theirs.GetThreshold() - 1) <= 2


def test_minimum_error_agrees_with_simpleitk_and_with_the_density(rng):
    sitk = pytest.importorskip("SimpleITK")
    image = bimodal(rng).astype(np.int16)
    theirs = sitk.KittlerIllingworthThresholdImageFilter()
    theirs.SetNumberOfHistogramBins(int(image.max()) - int(image.min()) + 1)
    theirs.Execute(sitk.GetImageFromArray(image))
    found = automatic_threshold(image, "minimum_error")
    assert abs(found - theirs.GetThreshold()) <= 3
    # Where 0.7 N(60, 12) and 0.3 N(170, 20) have the same height.
    grid = np.linspace(60, 170, 10_000)
    heights = [np.log(p / sd) - (grid - mean) ** 2 / (2 * sd**2) for p, mean, sd in ((0.7, 60, 12), (0.3, 170, 20))]
    crossing = grid[np.argmin(np.abs(heights[0] - heights[1]))]
    assert abs(found - crossing) < 3


def test_minimum_error_beats_otsu_on_a_small_structure(rng):
    """What the method is for: classes of very different size and width."""
    image = bimodal(rng, dark=50, bright=130, share=0.02)
    errors = {m: abs(float((image >= automatic_threshold(image, m)).mean()) - 0.02) for m in ("otsu", "minimum_error")}
    assert errors["minimum_error"] < 0.003
    assert errors["minimum_error"] <= errors["otsu"]


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("values", [(3, 4), (0, 255), (-5, 7, 8), (0, 0, 0, 0, 1), (1, 0, 0, 0, 0, 0)])
def test_both_sides_hold_voxels_however_few_values_there_are(method, values):
    array = np.resize(np.array(values, dtype=np.int32), (2, 5, 6))
    lower = automatic_threshold(array, method)
    assert array.min() < lower <= array.max()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_shift_moves_the_threshold_and_nothing_else(method, rng):
    image = bimodal(rng).astype(np.int16)
    assert automatic_threshold(image - 1000, method) == automatic_threshold(image, method) - 1000
    assert automatic_threshold(image[::-1, :, ::-1], method) == automatic_threshold(image, method)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_constant_image_is_refused_by_every_method(method):
    with pytest.raises(InputError, match="two different values"):
        SEGMENTERS.create("threshold").run(volume(np.full((3, 4, 5), 9)), {"method": method})


def test_the_darker_side_is_the_rest(rng):
    image = volume(bimodal(rng))
    bright = SEGMENTERS.create("threshold").run(image, {"method": "li"})
    dark = SEGMENTERS.create("threshold").run(image, {"method": "li", "side": "darker"})
    assert np.array_equal(dark.array, 1 - bright.array)
    assert bright.meta["threshold"]["lower"] == dark.meta["threshold"]["lower"]


def test_inside_looks_at_the_segment_only(rng):
    array = bimodal(rng).astype(np.int16)
    array[:, :, 25:] += 1000
    left = np.zeros(array.shape, np.uint8)
    left[:, :, :25] = 1
    image = volume(array)
    labels = LabelMap(left, image.geometry, (Segment(1, "Left"),))
    found = SEGMENTERS.create("threshold").run(image, {"inside": "Left"}, labels=labels)
    assert found.meta["threshold"]["lower"] == otsu(array[:, :, :25])
    assert np.array_equal(found.array, (left == 1) & (array >= otsu(array[:, :, :25])))
    with pytest.raises(InputError, match="Right"):
        SEGMENTERS.create("threshold").run(image, {"inside": "Right"}, labels=labels)
    with pytest.raises(InputError, match="nothing was segmented"):
        SEGMENTERS.create("threshold").run(image, {"inside": "Left"})


@pytest.mark.parametrize(
    ("method", "inside", "outside", "name"),
    [
        ("air", (-1024, -951), (-950,), "Air"),
        ("lung", (-950, -500), (-951, -499), "Lung"),
        ("fat", (-190, -30), (-191, -29), "Fat"),
        ("soft_tissue", (-29, 150), (-30, 151), "Soft tissue"),
        ("bone", (226, 3000), (225,), "Bone"),
        ("calcium", (130, 3000), (129,), "Calcium"),
    ],
)
def test_tissues_in_ct(method, inside, outside, name):
    array = np.resize(np.array([*inside, *outside, -1024]), (2, 3, 10)).astype(np.int16)
    labels = SEGMENTERS.create("threshold").run(volume(array, modality="CT"), {"method": method})
    assert set(inside) <= set(array[labels.array == 1].tolist())
    assert not set(outside) & set(array[labels.array == 1].tolist())
    assert labels.segments[0].name == name
    assert labels.segments[0].type is not None
    assert labels.flags == ()
    named = SEGMENTERS.create("threshold").run(volume(array, modality="CT"), {"method": method, "name": "Mine"})
    assert named.segments[0].name == "Mine"


def test_a_tissue_in_an_image_that_is_not_in_hu_is_flagged():
    """Row 23."""
    raw = volume(np.arange(4096, dtype=np.uint16).reshape(16, 16, 16), modality="CT")
    labels = SEGMENTERS.create("threshold").run(raw, {"method": "bone"})
    assert [f.code for f in labels.flags] == ["INT_RANGE_NOT_HU"]
    empty = SEGMENTERS.create("threshold").run(raw, {"method": "fat"})
    assert [f.code for f in empty.flags] == ["INT_RANGE_NOT_HU", "MASK_EMPTY"]


@pytest.mark.parametrize("settings", [{"method": "bone", "lower": 3.0}, {"method": "bone", "side": "darker"}])
def test_settings_that_a_method_has_not_are_refused(settings):
    with pytest.raises(SettingsError):
        SEGMENTERS.create("threshold").run(volume(np.zeros((3, 3, 3))), settings)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", ">i2", "u2", "i4", "u8", "f2", "f4", ">f4", "f8"])
def test_intervals_of_every_type(dtype, rng):
    array = rng.integers(0, 100, (3, 7, 11)).astype(dtype)
    kwargs = {"progress": no_progress, "cancel": CancelToken()}
    found = label_intervals(array, [-3.5, 20.0, 49.5, 70, 1e6], [9, 1, 0, 2, 1, 7], **kwargs)
    expected = np.choose(np.digitize(array.astype(float), [-3.5, 20.0, 49.5, 70, 1e6]), [9, 1, 0, 2, 1, 7])
    assert np.array_equal(found, expected)


def test_limits_beyond_the_type_mean_all_or_none():
    array = np.array([0, 100, 255], dtype=np.uint8).reshape(1, 1, 3)
    step = SEGMENTERS.create("threshold")
    for lower, upper, count in ((-1e9, None, 3), (256.0, None, 0), (None, 1e30, 3), (100.0, 255.0, 2), (0.5, 99.9, 0)):
        labels = step.run(volume(array), {"method": "manual", "lower": lower, "upper": upper})
        assert labels.counts()[1] == count, (lower, upper)
    small = volume(np.array([-1e38, 0, 1e38], dtype=np.float32).reshape(1, 1, 3))
    assert step.run(small, {"method": "manual", "upper": 1e300}).counts()[1] == 3
    assert step.run(small, {"method": "manual", "lower": 1e300}).counts()[1] == 0


def test_an_included_upper_limit_of_real_numbers():
    array = np.array([0.1, 0.7, np.nextafter(np.float32(0.7), np.float32(1)), np.nan], dtype=np.float32)
    labels = SEGMENTERS.create("threshold").run(
        volume(array.reshape(1, 2, 2)), {"method": "manual", "lower": 0.1, "upper": 0.7}
    )
    assert labels.array.ravel().tolist() == [1, 1, 0, 0]
    assert after(3.7, np.dtype(np.int16)) == 4
    assert after(float(np.finfo(np.float32).max), np.dtype(np.float32)) == math.inf
