"""Boxes on other grids, cut and mirrored; the windows over an image; crops around a box."""

import itertools

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.resample import reorient_array
from medai.segment.detection.frames import boxes_between, clipped, flipped, kji
from medai.segment.detection.samples import box_around, cut_window
from medai.segment.detection.windows import spans

ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for letters in itertools.product(*order)
]  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_box_stays_on_its_voxels_in_every_orientation(orientation):
    grid = Geometry.from_spacing((6, 7, 8), (1.0, 2.0, 3.0), (5, 6, 7))
    array = np.zeros(grid.shape)
    array[1:4, 2:5, 3:8] = 1
    turned, other = reorient_array(array, grid, orientation)
    moved = boxes_between([[3, 2, 1, 8, 5, 4]], grid, other)
    where = np.argwhere(turned)
    expected = np.concatenate([where.min(axis=0)[::-1], where.max(axis=0)[::-1] + 1])
    assert moved[0] == pytest.approx(expected)
    assert boxes_between(moved, other, grid)[0] == pytest.approx([3, 2, 1, 8, 5, 4])


def test_a_box_on_another_spacing():
    grid = Geometry.from_spacing((8, 8, 8), (2, 2, 2))
    fine = grid.with_spacing((1, 1, 1))
    assert boxes_between([[1, 2, 3, 4, 5, 6]], grid, fine)[0] == pytest.approx([2, 4, 6, 8, 10, 12])


def test_mirrored_and_cut_boxes():
    boxes = np.array([[1.0, 2, 3, 4, 5, 6]])
    assert flipped(boxes, (0, 2), (10, 10, 10)).tolist() == [[6, 2, 4, 9, 5, 7]]
    assert kji(kji(boxes)).tolist() == boxes.tolist()
    cut, kept = clipped(np.array([[-2.0, 0, 0, 2, 2, 2], [-3, 0, 0, 1, 2, 2]]), (8, 8, 8))
    assert kept.tolist() == [True, False]
    assert cut.tolist() == [[0, 0, 0, 2, 2, 2]]


@pytest.mark.parametrize("length", [20, 32, 33, 50, 64, 101])
def test_every_centre_counts_in_a_window_that_sees_around_it(length):
    found = spans(length, 32, 0.375)
    for centre in np.arange(0.5, length):
        windows = [start for start, low, high in found if low <= centre < high]
        assert windows
        for start in windows:
            # 5 voxels on both sides, or up to the image's end.
            assert start <= max(0, centre - 5)
            assert start + 32 >= min(length, centre + 5)


def test_windows_and_boxes_at_the_border():
    array = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3)
    window = cut_window(array, np.array([-1, 0, 2]), (3, 3, 3))
    assert window[0, 0].max() == 0
    assert window[0, 1, :, 0].tolist() == [2, 5, 8]
    assert not cut_window(array, np.array([9, 9, 9]), (2, 2, 2)).any()
    grid = Geometry.from_spacing((10, 10, 10), (1, 1, 2))
    assert box_around(grid, (0, 0, 0), 3)[0] == slice(0, 3)
    far = box_around(grid, (500, 500, 500), 3)
    assert all(part.stop - part.start == 1 for part in far)
