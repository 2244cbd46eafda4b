"""Distances in mm equal those measured voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import Cancelled
from medai.core.progress import CancelToken
from medai.segment import boxes
from medai.segment.boxes import bounding_box, label_boxes, widened
from medai.segment.distance import distance_mm


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.1, 0.77, 0.9), (0.3, 2.0, 5.0)])
@pytest.mark.parametrize("shape", [(7, 8, 9), (1, 8, 9), (7, 1, 9), (7, 8, 1), (1, 1, 9), (9, 1, 1)])
def test_equal_to_brute_force(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing: tuple[float, ...]
) -> None:
    mask = rng.random(shape) < 0.85
    mask.flat[0] = False
    places = np.argwhere(np.ones(shape)) * spacing
    outside = places[~mask.reshape(-1)]
    expected = np.sqrt(((places[:, None] - outside[None]) ** 2).sum(axis=2)).min(axis=1).reshape(shape)
    found = distance_mm(mask, spacing)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5
    assert (found[~mask] == 0).all()


def test_equal_to_scipy_far_from_the_images_border() -> None:
    mask = np.zeros((30, 40, 50), dtype=np.uint8)
    mask[10:22, 5:30, 20:41] = 7
    expected = ndimage.distance_transform_edt(mask, sampling=(2.5, 0.7, 0.9))
    assert np.abs(distance_mm(mask, (2.5, 0.7, 0.9)) - expected).max() < 1e-5
    expected = ndimage.distance_transform_edt(mask == 0, sampling=(2.5, 0.7, 0.9))
    assert np.abs(distance_mm(mask == 0, (2.5, 0.7, 0.9)) - expected).max() < 1e-5


def test_empty_and_full() -> None:
    assert (distance_mm(np.zeros((3, 4, 5), dtype=bool), (1, 1, 1)) == 0).all()
    assert np.isinf(distance_mm(np.ones((3, 4, 5), dtype=bool), (1, 1, 1))).all()


def test_cancel() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        distance_mm(np.ones((3, 4, 5), dtype=bool), (1, 1, 1), cancel=token)


@pytest.mark.parametrize("few", [0, 12])
def test_boxes(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(boxes, "FEW", few)
    array = np.zeros((9, 10, 11), dtype=np.uint16)
    assert bounding_box(array) is None
    array[2:5, 3, 4:9] = 300
    array[8, 9, 10] = 2
    assert label_boxes(array, (2, 300, 5, 60000)) == {2: np.s_[8:9, 9:10, 10:11], 300: np.s_[2:5, 3:4, 4:9]}
    assert bounding_box(array) == np.s_[2:9, 3:10, 4:11]
    assert widened(np.s_[2:5, 3:4, 4:9], 2, array.shape) == np.s_[0:7, 1:6, 2:11]
    assert widened(np.s_[2:5, 3:4, 4:9], (0, 1, 9), array.shape) == np.s_[2:5, 2:5, 0:11]
