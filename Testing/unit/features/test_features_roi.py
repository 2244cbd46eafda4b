"""Cutting segments out: the box, the masks, what touches the border."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medai.core.labelmap import LabelMap
from medai.features import IntensityLimits
from medai.features.roi import cut, find_boxes


def test_boxes_are_the_smallest(pair: Callable) -> None:
    mask = np.zeros((6, 7, 8), np.uint16)
    mask[1:3, 2:5, 3] = 7
    mask[5, 6, 0] = 300
    _, labels = pair(np.zeros((6, 7, 8)))
    boxes = find_boxes(LabelMap(mask, labels.geometry))
    assert boxes == {
        7: (slice(1, 3), slice(2, 5), slice(3, 4)),
        300: (slice(5, 6), slice(6, 7), slice(0, 1)),
    }


def test_the_cut_lies_where_the_segment_lies(pair: Callable) -> None:
    mask = np.zeros((6, 7, 8))
    mask[1:3, 2:5, 3] = 1
    mask[2, 3, 3] = 2
    volume, labels = pair(mask, spacing=(0.5, 1.0, 2.0))
    roi = cut(volume, labels, labels.segments[0], find_boxes(labels)[1])
    assert roi.voxels == 5
    assert roi.mask.shape == roi.array.shape == roi.geometry.shape == (2, 3, 1)
    assert roi.geometry.origin == tuple(volume.geometry.to_ras((3, 2, 1)))
    assert np.array_equal(roi.levels[0], np.sort(volume.array[mask == 1]))
    assert np.shares_memory(roi.array, volume.array)


def test_an_empty_segment_has_no_box(pair: Callable) -> None:
    from medai.core.labelmap import Segment

    volume, labels = pair(np.zeros((2, 2, 2)))
    roi = cut(volume, labels, Segment(1, "nothing"), None)
    assert roi.is_empty
    assert roi.is_finite
    assert roi.clipped == ()


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((slice(1, 3), slice(1, 3), slice(1, 3)), ()),
        ((slice(0, 3), slice(1, 3), slice(1, 3)), ("K",)),
        ((slice(1, 4), slice(1, 3), slice(0, 1)), ("K", "I")),
        ((slice(1, 3), slice(0, 4), slice(1, 3)), ("J",)),
    ],
)
def test_border(pair: Callable, box: tuple[slice, ...], clipped: tuple[str, ...]) -> None:
    mask = np.zeros((4, 4, 4))
    mask[box] = 1
    volume, labels = pair(mask)
    assert cut(volume, labels, labels.segments[0], find_boxes(labels)[1]).clipped == clipped


def test_a_slice_has_no_border_in_the_third_dimension(pair: Callable) -> None:
    volume, labels = pair(np.pad(np.ones((2, 2)), 1)[None])
    assert cut(volume, labels, labels.segments[0], find_boxes(labels)[1]).clipped == ()


def test_limits_change_the_intensity_mask_only(pair: Callable) -> None:
    image = np.array([[[0.0, 1.0, 2.0, 3.0, 4.0, 100.0]]])
    volume, labels = pair([[[0, 1, 1, 1, 1, 1]]], image)
    box = find_boxes(labels)[1]

    def kept(**limits: float) -> list[float]:
        roi = cut(volume, labels, labels.segments[0], box, IntensityLimits(**limits))
        assert roi.voxels == 5
        return roi.levels[0].tolist()

    assert kept() == [1, 2, 3, 4, 100]
    assert kept(lower=2, upper=4) == [2, 3, 4]
    assert kept(upper=100) == [1, 2, 3, 4, 100]
    assert kept(outlier_sigmas=1) == [1, 2, 3, 4]
    # Outliers are judged on the whole segment, also when a range cuts it: the intersection of both ranges.
    assert kept(lower=3, outlier_sigmas=1) == [3, 4]


def test_nan_outside_the_segment_stays_outside(pair: Callable) -> None:
    volume, labels = pair([[[1, 0, 1]]], [[[1.0, np.nan, 3.0]]])
    roi = cut(volume, labels, labels.segments[0], find_boxes(labels)[1])
    assert roi.is_finite
    assert roi.levels[0].tolist() == [1, 3]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, ">i4", bool])
def test_levels_are_counted(pair: Callable, dtype: str) -> None:
    volume, labels = pair([[[1, 1, 1, 1, 0]]], np.array([[[1, 0, 1, 1, 1]]]).astype(dtype))
    levels, counts = cut(volume, labels, labels.segments[0], find_boxes(labels)[1]).levels
    assert levels.tolist() == [0, 1]
    assert counts.tolist() == [1, 3]
    assert levels.dtype == np.float64
