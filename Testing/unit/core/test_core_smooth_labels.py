"""medai.core.smooth_labels: labels on a finer grid without steps, gaps or losses."""

from __future__ import annotations

import numpy as np
import pytest

from medai.core.errors import Cancelled
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.resample import resample_array, resample_labels
from medai.core.smooth_labels import smooth_labels


def ball(shape, radius, spacing=(1.0, 1.0, 1.0)):
    grid = Geometry.from_spacing(shape, spacing)
    k, j, i = np.indices(shape)
    points = grid.to_ras(np.stack([i, j, k], axis=-1)) - grid.centre
    return grid, (np.linalg.norm(points, axis=-1) <= radius), points


def reference(array, source, target):
    """Straight from the definition: each label's mask by SimpleITK, the largest share wins, the lowest at a tie."""
    labels = np.unique(array)
    shares = np.stack([resample_array((array == n).astype(np.float64), source, target, "linear") for n in labels])
    shares[labels == 0] += 1 - shares.sum(axis=0)  # outside is background
    shares[labels == 0] += 1e-5
    return labels[np.argmax(shares, axis=0)].astype(array.dtype)


@pytest.mark.parametrize("direction", ["straight", "flipped", "swapped", "oblique"])
@pytest.mark.parametrize("spacing", [(0.7, 0.6, 0.5), (2.0, 1.5, 1.1)])
def test_the_largest_share_wins(rng, direction, spacing):
    coarse = rng.integers(0, 4, (6, 7, 8)).astype(np.uint8)
    array = np.kron(coarse, np.ones((2, 2, 2), np.uint8))
    source = Geometry.from_spacing(array.shape, (1.0, 1.2, 1.4))
    turn = 0.3
    axes = {
        "straight": np.eye(3),
        "flipped": np.diag([-1.0, 1.0, -1.0]),
        "swapped": np.eye(3)[:, [2, 0, 1]],
        "oblique": np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]),
    }[direction]
    shape = (23, 22, 21)
    target = Geometry.from_spacing(shape, spacing, (0.0, 0.0, 0.0), axes)
    origin = source.centre - target.centre + 0.03
    target = Geometry.from_spacing(shape, spacing, tuple(origin), axes)
    found = smooth_labels(array, source, target)
    expected = reference(array, source, target)
    # Within a hair of a tie either label is right.
    assert np.mean(found != expected) < 2e-4
    assert found.dtype == array.dtype
    assert set(np.unique(found)) == set(np.unique(expected))


def test_the_own_grid_gives_the_own_labels(rng):
    array = rng.integers(0, 5, (9, 10, 11)).astype(np.uint8)
    grid = Geometry.from_spacing(array.shape, (0.8, 0.9, 2.5))
    assert np.array_equal(smooth_labels(array, grid, grid), array)


def test_a_ball_is_rounder_than_with_nearest_neighbour():
    _, truth, _ = ball((48, 48, 48), 18.0)
    coarse, small, _ = ball((12, 12, 12), 18.0, (4.0, 4.0, 4.0))
    fine = coarse.with_spacing((1.0, 1.0, 1.0))
    labels = LabelMap(small, coarse, (Segment(1, "Ball"),))
    wrong = {
        smooth: int((resample_labels(labels, fine, smooth=smooth).array.astype(bool) != truth).sum())
        for smooth in (False, True)
    }
    assert wrong[True] < 0.7 * wrong[False]


def test_labels_that_touch_have_no_gap_and_none_is_added():
    fine, truth, points = ball((40, 40, 40), 15.0)
    array = np.where(truth, 1 + (points[..., 0] > 0) + 2 * (points[..., 1] > 0.5), 0).astype(np.uint8)
    coarse = fine.with_spacing((3.0, 3.0, 3.0))
    small = LabelMap(resample_array(array, fine, coarse, "nearest"), coarse)
    back = resample_labels(small, fine, smooth=True)
    whole = smooth_labels((small.array > 0).astype(np.uint8), coarse, fine)
    assert set(np.unique(back.array)) == {0, 1, 2, 3, 4}
    # Nothing that is deep inside all labels together is background.
    from scipy.ndimage import binary_erosion

    assert back.array[binary_erosion(whole > 0, iterations=3)].all()
    # Where the union is not foreground no label is.
    assert not back.array[whole == 0].any()


def test_a_single_voxel_is_not_lost():
    grid = Geometry.from_spacing((5, 5, 5), (2.0, 2.0, 2.0))
    array = np.zeros(grid.shape, np.uint8)
    array[2, 2, 2] = 7
    fine = grid.with_spacing((1.0, 1.0, 1.0))
    found = smooth_labels(array, grid, fine)
    assert (found == 7).sum() == 8


def test_outside_is_background():
    grid = Geometry.from_spacing((4, 4, 4))
    wide = grid.crop((-2, -2, -2), (8, 8, 8))
    found = smooth_labels(np.ones(grid.shape, np.uint8), grid, wide)
    assert found.sum() == 64
    assert found[2:6, 2:6, 2:6].all()
    far = Geometry.from_spacing((3, 3, 3), origin=(100.0, 0, 0))
    assert not smooth_labels(np.ones(grid.shape, np.uint8), grid, far).any()


def test_blocks_make_no_difference(rng, monkeypatch):
    array = np.kron(rng.integers(0, 3, (4, 4, 4)), np.ones((3, 3, 3))).astype(np.uint16) * 300
    grid = Geometry.from_spacing(array.shape, (2.0, 2.0, 2.0))
    fine = grid.with_spacing((0.9, 1.1, 0.7))
    whole = smooth_labels(array, grid, fine)
    monkeypatch.setattr("medai.core.smooth_labels.BLOCK_VOXELS", 1)
    assert np.array_equal(smooth_labels(array, grid, fine), whole)
    assert whole.dtype == np.uint16


def test_segments_stay_and_cancel_stops():
    grid = Geometry.from_spacing((6, 6, 6))
    labels = LabelMap(np.ones(grid.shape, np.uint8), grid, (Segment(1, "A"), Segment(2, "Empty")))
    assert resample_labels(labels, grid, smooth=True).segments == labels.segments
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        resample_labels(labels, grid, smooth=True, cancel=token)
