"""Morphological Chan-Vese."""

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS, _morphology
from medai.segment.segmenters.chan_vese import _reach

ONE = (Segment(1, "Liver"),)


def seed(image, kji, segment="Region"):
    ras = image.geometry.to_ras(np.array(kji[::-1], dtype=float))
    return {"ras": [float(v) for v in ras], "segment": segment}


def volume(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry.from_spacing(array.shape, spacing))


def run(image, start=None, segments=ONE, **settings):
    labels = None if start is None else LabelMap(start.astype(np.uint8), image.geometry, segments)
    return SEGMENTERS.create("chan_vese").run(image, settings, labels=labels)


@pytest.fixture
def scene(rng):
    def make(shape):
        k, j, i = np.ogrid[tuple(slice(0, n) for n in shape)]
        body = ((k - shape[0] / 2) / max(2, shape[0] / 3)) ** 2 + ((j - 15) / 9) ** 2 + ((i - 17) / 11) ** 2 < 1
        array = np.where(body, 120, 40) + rng.normal(0, 25, shape)
        start = ((k - shape[0] // 2) ** 2 + (j - 14) ** 2 + (i - 15) ** 2) <= 9
        return array.astype(np.float32), np.broadcast_to(start, shape).copy()

    return make


@pytest.mark.parametrize("shape", [(14, 30, 34), (1, 30, 34)])
@pytest.mark.parametrize(("iterations", "smoothing"), [(6, 1), (16, 0), (40, 1), (10, 2), (9, 2)])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 2.5)])
def test_equals_scikit_image(scene, monkeypatch, shape, iterations, smoothing, weights):
    from skimage.segmentation import morphological_chan_vese

    array, start = scene(shape)
    monkeypatch.setattr(_morphology, "SLAB_VOXELS", 3 * shape[1] * shape[2])
    found = run(
        volume(array), start, iterations=iterations, smoothing=smoothing, lambda_in=weights[0], lambda_out=weights[1],
        margin_mm=1000,
    )  # fmt: skip
    flat = shape[0] == 1
    # The number of smoothings is even, so that scikit-image's alternation, which outlives a call, begins anew.
    expected = morphological_chan_vese(
        array[0] if flat else array, iterations, start[0] if flat else start, smoothing, *weights
    )
    assert expected.any()
    assert np.array_equal(found.array[0] if flat else found.array, expected)


@pytest.mark.parametrize("name", ["sup_inf", "inf_sup"])
def test_operators_equal_scikit_images(rng, name):
    from skimage.segmentation import morphsnakes

    for shape in ((8, 9, 11), (1, 9, 11), (2, 2, 2), (5, 1, 7)):
        mask = (ndimage.gaussian_filter(rng.normal(0, 1, shape), 0.8) > 0).astype(np.uint8)
        found = getattr(_morphology, name)(mask, CancelToken())
        flat = mask[0] if shape[0] == 1 else mask
        assert np.array_equal(found[0] if shape[0] == 1 else found, getattr(morphsnakes, name)(flat))


def test_a_ball_around_a_seed_fills_the_body(scene):
    array, _ = scene((14, 30, 34))
    image = volume(array.astype(np.int16), (1.0, 1.2, 2.0))
    found = run(image, seeds=[seed(image, (7, 15, 17), "Liver")], ball_mm=4.0)
    truth = ndimage.gaussian_filter(array, 1) > 80
    assert 2 * (truth & (found.array > 0)).sum() / (truth.sum() + found.counts()[1]) > 0.9
    assert found.segments[0].name == "Liver"


def test_segments_do_not_enter_each_other(scene):
    array, _ = scene((14, 30, 34))
    start = np.zeros(array.shape, dtype=np.uint8)
    start[5:10, 11:19, 9:15], start[5:10, 11:19, 19:25] = 1, 2
    found = run(volume(array), start, (Segment(1, "Liver"), Segment(2, "Spleen")))
    assert found.counts()[1] > 300
    assert (found.array[start == 2] != 1).all()


def test_the_margin_is_a_wall(scene):
    array, start = scene((14, 30, 34))
    found = run(volume(array), start, margin_mm=7.0).array > 0
    box = ndimage.find_objects(start.astype(int))[0]
    outside = np.ones(array.shape, dtype=bool)
    outside[tuple(slice(max(0, s.start - 7), s.stop + 7) for s in box)] = False
    assert not (found & outside).any()
    assert found.sum() > start.sum()


def test_a_start_is_needed():
    image = volume(np.zeros((4, 5, 6)))
    with pytest.raises(InputError, match="neither seeds nor segments"):
        run(image)
    with pytest.raises(InputError, match="all segments are empty"):
        run(image, np.zeros((4, 5, 6)))


def test_reach_stays_in_the_image():
    state = np.zeros((5, 6, 7), dtype=np.uint8)
    state[0, 3, 6] = 1
    assert _reach(state, 1) == (slice(0, 5), slice(0, 6), slice(2, 7))
