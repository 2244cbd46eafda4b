"""Connected components in slabs equal SciPy's on the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import Cancelled
from medai.core.progress import CancelToken
from medai.segment import components
from medai.segment.components import label_components

ORDER = {6: 1, 18: 2, 26: 3}


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("slab_voxels", [1, 13 * 17 * 2, 1 << 23])
@pytest.mark.parametrize("density", [0.1, 0.3, 0.6, 0.95])
def test_equal_to_scipy_in_slabs_of_any_height(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, connectivity: int, slab_voxels: int, density: float
) -> None:
    monkeypatch.setattr(components, "SLAB_VOXELS", slab_voxels)
    mask = rng.random((11, 13, 17)) < density
    expected, count = ndimage.label(mask, ndimage.generate_binary_structure(3, ORDER[connectivity]))
    labels, sizes = label_components(mask, connectivity)
    assert np.array_equal(labels, expected)
    assert labels.dtype == np.int32
    assert len(sizes) == count + 1
    assert np.array_equal(sizes[1:], np.bincount(expected.reshape(-1))[1:])
    assert sizes[0] == 0


def test_a_spiral_over_all_slabs_is_one_component(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that meet only two slabs further on are joined."""
    monkeypatch.setattr(components, "SLAB_VOXELS", 1)
    mask = np.zeros((5, 1, 7), dtype=np.uint8)
    mask[:, 0, ::2] = 3  # four columns
    mask[0, 0, 1:2] = mask[4, 0, 3:4] = mask[0, 0, 5:6] = 1  # joined at the top, the bottom, the top
    labels, sizes = label_components(mask)
    assert sizes.tolist() == [0, 4 * 5 + 3]
    assert np.array_equal(labels > 0, mask > 0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 5), (5, 1, 5), (5, 5, 1)])
@pytest.mark.parametrize("value", [0, 1])
def test_thin_empty_and_full(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], value: int) -> None:
    monkeypatch.setattr(components, "SLAB_VOXELS", 1)
    labels, sizes = label_components(np.full(shape, value, dtype=np.uint8), 26)
    assert (labels == value).all()
    assert sizes.tolist() == [0, np.prod(shape)][: value + 1]


def test_cancel_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "SLAB_VOXELS", 1)
    mask = np.ones((9, 4, 4), dtype=np.bool_)
    seen: list[float] = []
    label_components(mask, progress=lambda fraction, message="": seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    token = CancelToken()
    with pytest.raises(Cancelled):
        label_components(mask, progress=lambda fraction, message="": token.cancel(), cancel=token)
