"""Connected components in slabs equal SciPy's on the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import Cancelled
from medai.core.progress import CancelToken, no_progress
from medai.segment import components, runs
from medai.segment.components import label_components

ORDER = {6: 1, 18: 2, 26: 3}
both_ways = pytest.mark.parametrize("way", ["runs", "voxels"])


def small_slabs(monkeypatch: pytest.MonkeyPatch, way: str, voxels: int = 1) -> None:
    """Take one of the two ways, in slabs of so many voxels."""
    monkeypatch.setattr(components, "SLAB_VOXELS", voxels)
    monkeypatch.setattr(runs, "SLAB_VOXELS", voxels)
    monkeypatch.setattr(components, "CHUNK", 7)
    if way == "voxels":
        monkeypatch.setattr(components, "component_runs", lambda *args, **more: None)


@both_ways
@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("slab_voxels", [1, 13 * 17 * 2, 1 << 23])
@pytest.mark.parametrize("density", [0.1, 0.3, 0.6, 0.95])
def test_equal_to_scipy_in_slabs_of_any_height(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    connectivity: int,
    slab_voxels: int,
    density: float,
    way: str,
) -> None:
    small_slabs(monkeypatch, way, slab_voxels)
    mask = rng.random((11, 13, 17)) < density
    expected, count = ndimage.label(mask, ndimage.generate_binary_structure(3, ORDER[connectivity]))
    labels, sizes = label_components(mask, connectivity)
    assert np.array_equal(labels, expected)
    assert labels.dtype == np.int32
    assert len(sizes) == count + 1
    assert np.array_equal(sizes[1:], np.bincount(expected.reshape(-1))[1:])
    assert sizes[0] == 0


@both_ways
def test_a_spiral_over_all_slabs_is_one_component(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Parts that meet only two slabs further on are joined."""
    small_slabs(monkeypatch, way)
    mask = np.zeros((5, 1, 7), dtype=np.uint8)
    mask[:, 0, ::2] = 3  # four columns
    mask[0, 0, 1:2] = mask[4, 0, 3:4] = mask[0, 0, 5:6] = 1  # joined at the top, the bottom, the top
    labels, sizes = label_components(mask)
    assert sizes.tolist() == [0, 4 * 5 + 3]
    assert np.array_equal(labels > 0, mask > 0)


@both_ways
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 5), (5, 1, 5), (5, 5, 1)])
@pytest.mark.parametrize("value", [0, 1])
def test_thin_empty_and_full(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], value: int, way: str
) -> None:
    small_slabs(monkeypatch, way)
    labels, sizes = label_components(np.full(shape, value, dtype=np.uint8), 26)
    assert (labels == value).all()
    assert sizes.tolist() == [0, np.prod(shape)][: value + 1]


@both_ways
def test_cancel_and_progress(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    small_slabs(monkeypatch, way)
    mask = np.ones((9, 4, 4), dtype=np.bool_)
    seen: list[float] = []
    label_components(mask, progress=lambda fraction, message="": seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    token = CancelToken()
    with pytest.raises(Cancelled):
        label_components(mask, progress=lambda fraction, message="": token.cancel(), cancel=token)


def test_noise_goes_voxel_by_voxel(rng: np.random.Generator) -> None:
    mask = rng.random((20, 60, 60)) < 0.3
    token = CancelToken()
    assert components.component_runs(mask, 6, progress=no_progress, cancel=token) is None
    labels, sizes = label_components(mask)
    assert np.array_equal(labels, ndimage.label(mask)[0])
    assert sizes.sum() == mask.sum()


def test_labels_are_counted_in_pieces(rng, monkeypatch):
    monkeypatch.setattr(components, "CHUNK", 7)
    labels = rng.integers(0, 5, (3, 4, 6)).astype(np.int32)
    where = rng.random(labels.shape) < 0.5
    assert np.array_equal(components.counts_of(labels, 6), np.bincount(labels.reshape(-1), minlength=7))
    assert np.array_equal(components.counts_of(labels, 6, where), np.bincount(labels[where], minlength=7))
