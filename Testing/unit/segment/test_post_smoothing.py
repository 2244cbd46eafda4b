"""Smoothing several segments at once: equal to its definition, without gaps, and the same in slabs of any height."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.segment.postprocess import _smoothing
from medai.segment.postprocess.smooth_gaussian import SmoothGaussian
from medai.segment.postprocess.smooth_median import SmoothMedian

SPACING = (2.5, 0.7, 0.9)
SHAPE = (14, 30, 34)


def on_grid(array: np.ndarray, spacing_kji: tuple[float, float, float] = SPACING) -> LabelMap:
    grid = Geometry.from_spacing(array.shape, spacing_kji[::-1])
    return LabelMap(
        array.astype(np.uint8), grid, tuple(Segment(n, "ABCDEF"[n - 1]) for n in range(1, int(array.max()) + 1))
    )


def rough(rng: np.random.Generator, count: int = 4) -> np.ndarray:
    """Touching segments with ragged borders, up to the image's border."""
    fields = ndimage.gaussian_filter(rng.normal(size=(count, *SHAPE)), (0, 0.7, 2.5, 2.5))
    labels = fields.argmax(axis=0)
    noise = rng.random(SHAPE) < 0.1
    labels[noise] = rng.integers(0, count, int(noise.sum()))
    return labels.astype(np.uint8)


def blurred(mask: np.ndarray, sigma: float) -> np.ndarray:
    sigmas = [sigma / s for s in SPACING]
    return ndimage.gaussian_filter(mask.astype(np.float64), sigmas, mode="nearest", truncate=3.0)


@pytest.mark.parametrize("slab", [1, 1 << 21])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_gaussian_is_the_largest_blurred_membership(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, sigma: float, slab: int
) -> None:
    monkeypatch.setattr(_smoothing, "SLAB_VOXELS", slab)
    labels = rough(rng)
    memberships = np.stack([blurred(labels == n, sigma) for n in range(4)])
    ordered = np.sort(memberships, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-5
    assert clear.mean() > 0.99
    result = SmoothGaussian().run(on_grid(labels), {"sigma_mm": sigma}).array
    assert np.array_equal(result[clear], memberships.argmax(axis=0)[clear])
    assert not np.array_equal(result, labels)


def test_one_segment_is_its_blurred_mask_above_one_half(rng: np.random.Generator) -> None:
    mask = rough(rng, 2) == 1
    mask[:, :8] = mask[..., 25:] = False
    share = blurred(mask, 1.5)
    clear = np.abs(share - 0.5) > 1e-5
    result = SmoothGaussian().run(on_grid(mask), {"sigma_mm": 1.5}).array
    assert np.array_equal(result[clear] > 0, (share > 0.5)[clear])


@pytest.mark.parametrize("slab", [1, 1 << 21])
@pytest.mark.parametrize("radius", [0.8, 1.5, 2.9, 6.0])
def test_majority_equals_counting(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, radius: float, slab: int
) -> None:
    monkeypatch.setattr(_smoothing, "SLAB_VOXELS", slab)
    labels = rough(rng)
    size = [2 * int(radius / s) + 1 for s in SPACING]
    window = np.ones(size)
    votes = np.stack([ndimage.correlate((labels == n).astype(int), window, mode="nearest") for n in range(4)])
    own = np.take_along_axis(votes, labels[None].astype(int), axis=0)[0]
    expected = np.where(own == votes.max(axis=0), labels, votes.argmax(axis=0))
    result = SmoothMedian().run(on_grid(labels), {"radius_mm": radius}).array
    assert np.array_equal(result, expected)
    assert not np.array_equal(result, labels)


def test_majority_of_one_segment_equals_the_median_filter(rng: np.random.Generator) -> None:
    mask = rough(rng, 2)
    expected = ndimage.median_filter(mask, size=(1, 5, 5), mode="nearest")
    assert np.array_equal(SmoothMedian().run(on_grid(mask), {"radius_mm": 1.9}).array, expected)


@pytest.mark.parametrize(("post", "key"), [(SmoothGaussian, "sigma_mm"), (SmoothMedian, "radius_mm")])
class TestBoth:
    def test_segments_that_touch_stay_in_touch(self, rng: np.random.Generator, post: Any, key: str) -> None:
        """Where no background is near, none appears."""
        labels = 1 + rough(rng, 3)
        result = post().run(on_grid(labels), {key: 2.0}).array
        assert (result > 0).all()
        assert not np.array_equal(result, labels)

    def test_segments_not_named_stay_and_leave_no_gap(self, rng: np.random.Generator, post: Any, key: str) -> None:
        labels = 1 + rough(rng, 3)
        result = post().run(on_grid(labels), {key: 2.0, "segments": ["A", "B"]}).array
        assert np.array_equal(result == 3, labels == 3)
        assert (result > 0).all()
        assert not np.array_equal(result, labels)

    def test_a_straight_border_and_a_full_image_stay(self, post: Any, key: str) -> None:
        labels = np.zeros(SHAPE, dtype=np.uint8)
        labels[:, 12:], labels[:, 20:] = 1, 2
        assert np.array_equal(post().run(on_grid(labels), {key: 3.0}).array, labels)
        assert post().run(on_grid(np.ones(SHAPE)), {key: 3.0}).array.all()

    def test_only_the_surroundings_count(self, rng: np.random.Generator, post: Any, key: str) -> None:
        """The work on a box in the image gives what the whole image gives."""
        labels = np.zeros((20, 60, 70), dtype=np.uint8)
        labels[3:17, 20:50, 25:59] = rough(rng)
        whole = post().run(on_grid(labels), {key: 1.5}).array
        cut = post().run(on_grid(labels[:, 10:, 15:]), {key: 1.5}).array
        assert np.array_equal(whole[:, 10:, 15:], cut)
        assert not whole[:, :10].any()

    def test_a_single_slice_is_smoothed_in_its_plane(self, rng: np.random.Generator, post: Any, key: str) -> None:
        plane = rough(rng)[5:6]
        stack = np.repeat(plane, 9, axis=0)
        alone = post().run(on_grid(plane), {key: 1.5}).array
        assert np.array_equal(alone[0], post().run(on_grid(stack), {key: 1.5}).array[4])

    def test_specks_that_vanish_are_flagged(self, post: Any, key: str) -> None:
        labels = np.zeros(SHAPE, dtype=np.uint8)
        labels[5, 6, 7] = 1
        result = post().run(on_grid(labels), {key: 1.5})
        assert not result.array.any()
        assert [f.code for f in result.flags] == ["MASK_EMPTY"]


def test_counts_beyond_16_bits() -> None:
    """A box of 79,507 voxels; in 16 bits the 78,000 of the body would count as 12,464 and lose."""
    labels = np.ones((45, 45, 45), dtype=np.uint8)
    labels[22, 22, :22] = 2
    result = SmoothMedian().run(on_grid(labels, (1.0, 1.0, 1.0)), {"radius_mm": 21.0}).array
    assert (result == 1).all()
