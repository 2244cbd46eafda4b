"""White stripe on a made brain and on a real one."""

import numpy as np
import pytest

from medai.core.errors import InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess.white_stripe import WhiteStripe, WhiteStripeSettings, _stripe, mode_of, smoothed


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


def brain(rng, levels=(300.0, 600.0, 1000.0), noise=30.0):
    """Air, CSF, grey and white matter of 4:1:3:2; returns the image and the tissue's number."""
    tissue = rng.choice(4, size=(20, 40, 40), p=(0.4, 0.1, 0.3, 0.2))
    values = np.array([10.0, *levels])[tissue] + rng.normal(0, noise, tissue.shape)
    return values.clip(0).astype(np.int16), tissue


def labels(mask):
    return LabelMap(mask.astype(np.uint8), Geometry.from_spacing(mask.shape), (Segment(1, "Brain"),))


def test_in_t1_white_matter_becomes_zero(rng):
    array, tissue = brain(rng)
    found = WhiteStripe().run(volume(array), {"inside": "Brain", "region": "image"}, labels=labels(tissue > 0)).array
    assert found[tissue == 3].mean() == pytest.approx(0, abs=0.5)
    assert found[tissue == 2].mean() < -10
    assert found.dtype == np.float32


def test_without_a_brain_mask_the_air_is_left_out(rng):
    array, tissue = brain(rng)
    assert abs(WhiteStripe().run(volume(array)).array[tissue == 3].mean()) < 0.5


def test_in_t2_the_highest_peak_is_taken(rng):
    array, tissue = brain(rng, levels=(1000.0, 500.0, 420.0), noise=12.0)
    tissue_is_white = tissue == 2  # here the most frequent tissue stands for white matter
    settings = {"inside": "Brain", "region": "image", "contrast": "T2"}
    found = WhiteStripe().run(volume(array), settings, labels=labels(tissue > 0)).array
    assert abs(found[tissue_is_white].mean()) < 1
    assert found[tissue == 1].mean() > 20


def test_the_stripe_has_mean_0_and_deviation_1_and_its_share_of_the_voxels(rng):
    array, tissue = brain(rng)
    mask = tissue > 0
    settings = WhiteStripeSettings(inside="Brain", region="image", width=0.08)
    low, high = _stripe(array, mask, settings, CancelToken())
    found = WhiteStripe().run(volume(array), settings, labels=labels(mask)).array
    stripe = mask & (array >= low) & (array <= high)
    assert found[stripe].mean() == pytest.approx(0, abs=1e-4)
    assert found[stripe].std() == pytest.approx(1, rel=1e-5)
    assert stripe.sum() / mask.sum() == pytest.approx(0.16, abs=0.01)
    assert low < 1000 < high


def test_the_scanners_gain_and_offset_do_not_matter(rng):
    array, tissue = brain(rng)
    one = WhiteStripe().run(volume(array.astype(np.float64))).array
    two = WhiteStripe().run(volume(array * 3.5 + 120.0)).array
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert tissue.size == one.size


def test_whole_and_real_numbers_agree(rng):
    array, _ = brain(rng)
    np.testing.assert_allclose(
        WhiteStripe().run(volume(array)).array, WhiteStripe().run(volume(array.astype(np.float64))).array, atol=1e-4
    )


def test_peaks():
    smooth = smoothed(np.array([0] * 20 + [100] + [0] * 20 + [40] + [0] * 20 + [5] + [0] * 9), 2.0)
    assert smooth.sum() == pytest.approx(145, rel=1e-3)
    assert mode_of(smooth, last=False) == 20
    assert mode_of(smooth, last=True) == 41  # the third is rarer than a fifth
    assert mode_of(np.array([1.0, 2.0, 3.0]), last=True) == 2
    assert mode_of(np.array([3.0, 3.0, 3.0]), last=True) == 0


def test_nan_stays(rng):
    array, _ = brain(rng)
    array = array.astype(np.float32)
    array[3, 3, 3] = np.nan
    assert np.isnan(WhiteStripe().run(volume(array)).array).sum() == 1


def test_a_constant_image_and_a_constant_stripe_are_refused():
    with pytest.raises(InputError, match="brighter than the mean"):
        WhiteStripe().run(volume(np.full((2, 3, 4), 7.0)))
    with pytest.raises(InputError, match="constant"):
        WhiteStripe().run(volume(np.full((2, 3, 4), 7.0)), {"region": "image"})
    array = np.zeros((4, 10, 10), dtype=np.int16)
    array[0], array[1:] = 50, 100
    array[0, 0, 0] = 0
    with pytest.raises(InputError, match="stripe"):
        WhiteStripe().run(volume(array), {"region": "image"})


def test_colour_is_refused(rng):
    with pytest.raises(UnsupportedInput, match="scalar"):
        WhiteStripe().run(volume(rng.random((1, 9, 9, 3))))


def test_on_a_real_t1_the_stripe_lies_above_grey_matter(data_dir):
    image = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    found = WhiteStripe().run(image).array
    values = image.array.astype(np.float64)
    tissue = values > values.mean()
    # The stripe is a narrow band of many voxels: a twentieth of the tissue on each side, in the brighter half.
    assert 0.05 < (np.abs(found[tissue]) < 2).mean() < 0.4
    zero = values[tissue][np.abs(found[tissue]) < 0.1].mean()
    assert np.median(values[tissue]) < zero < np.percentile(values[tissue], 95)
