"""N4 beside SimpleITK's filter."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess import n4
from medai.segment.preprocess.n4 import N4

sitk = pytest.importorskip("SimpleITK")
FAST = {"levels": 2, "iterations": 6}


def head(n=32, depth=None, noise=2.0):
    """A ball of two tissues, and the same under a smooth bias."""
    rng = np.random.default_rng(5)
    z, y, x = np.mgrid[-1 : 1 : (depth or n) * 1j, -1 : 1 : n * 1j, -1 : 1 : n * 1j] if depth != 1 else (
        np.zeros((1, n, n)), *np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j][:, None]
    )  # fmt: skip
    radius = x**2 + y**2 + z**2
    clean = np.where(radius < 0.25, 150.0, np.where(radius < 0.8, 100.0, 3.0))
    bias = np.exp(0.4 * x + 0.2 * y * y - 0.2 * z)
    biased = np.clip(clean * bias + rng.normal(0, noise, clean.shape), 0.5, None)
    return clean, biased.astype(np.float32)


def volume(array, spacing=(1.0, 1.0, 1.0), modality="MR", **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3], spacing), modality=modality, **more)


def reference(array, spacing, mask, shrink=1):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    region = sitk.OtsuThreshold(image, 0, 1, 200) if mask is None else sitk.GetImageFromArray(mask.astype(np.uint8))
    region.CopyInformation(image)
    method = sitk.N4BiasFieldCorrectionImageFilter()
    method.SetMaximumNumberOfIterations([6, 6])
    factors = [shrink] * image.GetDimension()
    method.Execute(sitk.Shrink(image, factors), sitk.Shrink(region, factors))
    return array / np.exp(sitk.GetArrayFromImage(method.GetLogBiasFieldAsImage(image)))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.0, 2.0)])
def test_without_shrinking_it_is_simpleitks(spacing):
    _, array = head(24, depth=16)
    found = N4().run(volume(array, spacing), {**FAST, "shrink": 1}).array
    np.testing.assert_allclose(found, reference(array, spacing, None), rtol=2e-4)
    assert found.dtype == np.float32


def test_inside_a_segment_it_is_simpleitks_with_that_mask():
    clean, array = head(24)
    mask = clean > 120
    labels = LabelMap(mask.astype(np.uint8), volume(array).geometry, (Segment(1, "Brain"),))
    found = N4().run(volume(array), {**FAST, "shrink": 1, "inside": "Brain"}, labels=labels).array
    np.testing.assert_allclose(found, reference(array, (1.0, 1.0, 1.0), mask), rtol=2e-4)


def test_a_single_slice_is_simpleitks_in_the_plane():
    _, array = head(40, depth=1)
    found = N4().run(volume(array, (0.9, 0.9, 5.0)), {**FAST, "shrink": 1}).array
    np.testing.assert_allclose(found[0], reference(array[0], (0.9, 0.9), None), rtol=2e-4)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_slice_may_lie_across_any_axis(axis):
    _, array = head(40, depth=1)
    flat = N4().run(Volume(array, Geometry.from_spacing(array.shape, (0.8, 1.2, 5.0))), FAST).array
    stood = np.moveaxis(array, 0, axis)
    spacing = [1.2, 0.8]  # of J and I
    spacing.insert(axis, 5.0)
    found = N4().run(Volume(stood, Geometry.from_spacing(stood.shape, spacing[::-1])), FAST).array
    np.testing.assert_allclose(np.moveaxis(found, axis, 0), flat, rtol=1e-6)


def test_a_line_is_refused():
    array = np.arange(1.0, 41.0).reshape(1, 1, 40)
    with pytest.raises(InputError, match="two axes"):
        N4().run(volume(array), {**FAST, "mask": "image"})


def test_shrunk_it_is_close_to_simpleitks_and_to_the_truth():
    clean, array = head(48)
    found = N4().run(volume(array), {"levels": 2, "iterations": 30, "shrink": 2}).array
    np.testing.assert_allclose(
        N4().run(volume(array), {**FAST, "shrink": 2}).array, reference(array, (1.0, 1.0, 1.0), None, 2), rtol=5e-4
    )
    for value in (100.0, 150.0):
        before, after = array[clean == value], found[clean == value]
        assert after.std() / after.mean() < 0.35 * before.std() / before.mean()


def test_it_shrinks_more_where_an_iteration_would_take_long(monkeypatch):
    image = volume(np.zeros((64, 80, 4), np.float32))
    assert n4._steps(image, 4) == (4, 4, 1)
    monkeypatch.setattr(n4, "MOST_VOXELS", 600)
    assert n4._steps(image, 4) == (7, 7, 1)
    monkeypatch.setattr(n4, "MOST_VOXELS", 1)
    assert n4._steps(image, 4) == (8, 10, 1)


def test_nan_and_zero_take_no_part_and_stay():
    _, array = head(24)
    array = array.astype(np.float64)
    array[0, 0, 0], array[12, 12, 12], array[1, 1, 1] = np.nan, 0.0, -5.0
    found = N4().run(volume(array), FAST).array
    assert np.isnan(found).sum() == 1
    assert found[12, 12, 12] == 0
    assert found[1, 1, 1] < 0
    assert found.dtype == np.float64


@pytest.mark.parametrize("more", [{"modality": "CT"}, {"modality": "", "unit": "[hnsf'U]"}])
def test_ct_is_refused(more):
    with pytest.raises(InputError, match="CT"):
        N4().run(volume(head(12)[1], **more), FAST)


def test_another_modality_is_flagged():
    found = N4().run(volume(head(16)[1], modality="US"), FAST)
    assert [flag.code for flag in found.flags] == ["MODALITY_MISMATCH"]
    assert N4().run(volume(head(16)[1]), FAST).flags == ()


@pytest.mark.parametrize("array", [np.zeros((8, 8, 8)), np.full((8, 8, 8), 7.0), np.full((8, 8, 8), -3.0)])
def test_nothing_to_fit_to_is_refused(array):
    with pytest.raises(InputError, match="two different values above 0"):
        N4().run(volume(array), {**FAST, "mask": "image"})


def test_colour_is_refused(rng):
    with pytest.raises(UnsupportedInput, match="scalar"):
        N4().run(volume(rng.random((1, 9, 9, 3))), FAST)


def test_cancel_ends_it_inside_a_fit(cancel_at_poll):
    _, array = head(32, noise=30.0)
    token, seen = cancel_at_poll(5), []
    settings = {"shrink": 1, "levels": 6, "iterations": 500, "convergence": 1e-12}
    with pytest.raises(Cancelled):
        N4().run(volume(array), settings, cancel=token, progress=lambda f, message="": seen.append(f))
    # Of up to 3,000 iterations a few were made.
    assert 0 < seen[-1] < 0.01
    assert token.polls <= 8


def test_a_real_t1_shrunk_by_four_is_simpleitks(data_dir):
    image = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    array = image.array.astype(np.float32)
    found = N4().run(image, FAST).array
    np.testing.assert_allclose(found, reference(array, image.geometry.spacing, None, 4), rtol=2e-4)
    assert np.abs(found / np.maximum(array, 1) - 1)[array > array.mean()].max() > 0.005
