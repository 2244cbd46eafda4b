"""Window starts and weights beside the libraries whose models we run."""

import itertools

import numpy as np
import pytest

from medai.segment.inference.windows import Layout, axis_starts, window_weights
from medai.segment.manifest import InferenceEntry

SIZES = [(1, 1), (7, 7), (8, 7), (20, 7), (21, 8), (64, 32), (110, 64), (111, 64), (273, 128), (300, 96), (33, 32)]
OVERLAPS = (0.0, 0.25, 0.5, 0.6, 0.625, 0.75, 0.9)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize(("length", "size"), SIZES)
def test_fixed_starts_are_monais(length, size, overlap):
    pytest.importorskip("monai")
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    step = _get_scan_interval((length,), (size,), 1, (overlap,))
    theirs = [s[0].start for s in dense_patch_slices((length,), (size,), step)]
    assert list(axis_starts(length, size, overlap, "fixed")) == theirs


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize(("length", "size"), SIZES)
def test_even_starts_are_nnunets(length, size, overlap):
    pytest.importorskip("nnunetv2")
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    theirs = compute_steps_for_sliding_window((length,), (size,), 1 - overlap)[0]
    assert list(axis_starts(length, size, overlap, "even")) == theirs


@pytest.mark.parametrize("placement", ["fixed", "even"])
@pytest.mark.parametrize(("length", "size"), [*SIZES, (3, 8), (4, 9), (1, 8)])
def test_windows_leave_no_voxel_out(length, size, placement):
    for overlap in OVERLAPS:
        starts = axis_starts(length, size, overlap, placement)
        assert list(starts) == sorted(starts)
        seen = np.zeros(length, dtype=int)
        for start in starts:
            seen[max(start, 0) : start + size] += 1
        assert seen.min() > 0
        assert starts[-1] + size == length or len(starts) == 1


@pytest.mark.parametrize(("length", "size"), [(3, 8), (4, 9), (1, 8), (7, 8)])
def test_small_images_are_padded_as_nnunet_does(length, size):
    padding = pytest.importorskip("acvl_utils.cropping_and_padding.padding")
    _, where = padding.pad_nd_image(np.zeros((length,)), (size,), return_slicer=True)
    assert axis_starts(length, size, 0.5, "even") == (-where[0].start,)
    assert axis_starts(length, size, 0.5, "fixed") == (-where[0].start,)


@pytest.mark.parametrize("window", [(8, 8, 8), (1, 12, 9), (96, 32, 17), (5, 7, 64)])
@pytest.mark.parametrize("sigma", [0.125, 0.25])
def test_gaussian_weights_are_monais(window, sigma):
    pytest.importorskip("monai")
    from monai.data.utils import compute_importance_map

    theirs = compute_importance_map(window, mode="gaussian", sigma_scale=sigma).numpy()
    ours = window_weights(window, InferenceEntry(sigma=sigma))
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)
    assert ours.min() >= np.float32(1e-3)


@pytest.mark.parametrize("window", [(8, 8, 8), (12, 9), (48, 32, 17), (128, 96)])
def test_gaussian_weights_are_nnunets(window):
    pytest.importorskip("nnunetv2")
    import torch
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    theirs = compute_gaussian(window, 1.0 / 8, 10, torch.float16, torch.device("cpu")).float().numpy()
    shape = window if len(window) == 3 else (1, *window)
    ours = window_weights(shape, InferenceEntry(floor="nnunet")).reshape(window)
    # Both are rounded to float16; a last digit may differ where the unrounded products lie between two of its values.
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=6e-8)
    assert np.mean(ours == theirs) > 0.999
    assert ours.min() > 0


def test_every_slice_of_a_2d_network_is_a_window_once():
    for placement in ("fixed", "even"):
        assert axis_starts(5, 1, 0.5, placement) == (0, 1, 2, 3, 4)


def test_constant_weights_are_one():
    weights = window_weights((4, 5, 6), InferenceEntry(blend="constant"))
    assert weights.shape == (4, 5, 6)
    assert (weights == 1).all()


def test_layout_covers_what_each_window_reaches_first():
    layout = Layout((20, 11, 5), (8, 6, 8), 0.5, "even")
    seen = np.zeros(layout.shape, dtype=int)
    for row in range(layout.rows):
        for box, fresh in layout.row(row):
            new = np.zeros(layout.shape, dtype=bool)
            new[tuple(slice(max(f, a), max(b, f)) for f, a, b in zip(fresh, box.low, box.high, strict=True))] = True
            inside = np.zeros(layout.shape, dtype=bool)
            inside[box.image] = True
            assert ((seen == 0) & inside == new).all()
            seen[box.image] += 1
    assert seen.min() >= 1
    starts = [axis_starts(n, w, 0.5, "even") for n, w in zip(layout.shape, layout.window, strict=True)]
    boxes = [box.start for row in range(layout.rows) for box, _ in layout.row(row)]
    assert boxes == list(itertools.product(*starts))
    assert layout.row_windows * layout.rows == len(boxes)
