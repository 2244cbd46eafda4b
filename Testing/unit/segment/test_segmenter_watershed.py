"""Watershed of the gradient."""

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import Cancelled, InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters.watershed import flooded

SPACING = (0.9, 1.0, 2.0)


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape, SPACING))


def seed(image, kji, segment):
    ras = image.geometry.to_ras(np.array(kji[::-1], dtype=float))
    return {"ras": [float(v) for v in ras], "segment": segment}


def run(image, *seeds, labels=None, **settings):
    return SEGMENTERS.create("watershed").run(image, {"seeds": list(seeds), **settings}, labels=labels)


@pytest.fixture
def scene(rng):
    """Two bodies in noise, and their truth."""
    truth = np.zeros((12, 36, 40), dtype=np.uint8)
    truth[3:10, 5:18, 5:17], truth[3:10, 16:30, 22:36] = 1, 2
    array = np.where(truth == 1, 140, np.where(truth == 2, 90, 20)) + rng.normal(0, 4, truth.shape)
    return np.rint(array).astype(np.int16), truth


def dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


@pytest.mark.parametrize("shape", [(9, 22, 25), (1, 40, 44)])
def test_equals_scikit_image(rng, shape):
    from skimage.segmentation import watershed

    relief = np.rint(1000 + 4000 * ndimage.gaussian_filter(rng.normal(0, 1, shape), 1.0)).clip(0).astype(np.uint16)
    markers = np.zeros(shape, dtype=np.uint8)
    for label in range(1, 7):
        markers[tuple(int(rng.integers(n)) for n in shape)] = label
    found = flooded(relief, markers, 0.0, lambda *_: None, CancelToken())
    # The two serve neighbours in another order, so voxels as far from one marker as from another may differ.
    assert (found == watershed(relief, markers)).mean() > 0.995


def test_seeds_share_out_the_image(scene):
    array, truth = scene
    image = volume(array)
    found = run(
        image,
        seed(image, (6, 10, 10), "Liver"),
        seed(image, (6, 22, 28), "Spleen"),
        seed(image, (0, 0, 0), "Background"),
    )
    assert [s.name for s in found.segments] == ["Liver", "Spleen"]
    assert dice(found.array == 1, truth == 1) > 0.9
    assert dice(found.array == 2, truth == 2) > 0.9
    kept = run(image, seed(image, (6, 10, 10), "Liver"), seed(image, (0, 0, 0), "Background"), background="")
    assert (kept.array > 0).all()


def test_segments_so_far_are_markers(scene):
    array, truth = scene
    image = volume(array)
    painted = np.zeros(truth.shape, dtype=np.uint8)
    painted[5:8, 9:12, 9:12], painted[5:8, 21:24, 27:30], painted[0] = 4, 2, 7
    labels = LabelMap(painted, image.geometry, (Segment(4, "Liver"), Segment(2, "Spleen"), Segment(7, "Background")))
    found = run(image, markers="labels", labels=labels)
    assert dice(found.array == 4, truth == 1) > 0.9
    assert dice(found.array == 2, truth == 2) > 0.9
    assert 7 not in found.array


def test_minima_make_regions_that_cover_everything(scene):
    array, truth = scene
    found = run(volume(array), markers="minima", level=8.0)
    assert (found.array > 0).all()
    assert [s.name for s in found.segments] == [f"Region {n}" for n in range(1, len(found.segments) + 1)]
    first = [int(np.flatnonzero(found.array == s.label)[0]) for s in found.segments]
    assert first == sorted(first)
    for label in (1, 2):
        inner = ndimage.binary_erosion(truth == label, iterations=3)
        assert len(np.unique(found.array[inner])) == 1
    with pytest.raises(InputError, match="at most 3 are kept"):
        run(volume(array), markers="minima", level=0.0, sigma_mm=0.0, max_regions=3)


def test_whole_numbers_give_what_the_same_real_numbers_give(scene):
    array, _ = scene
    image, real = volume(array), volume(array.astype(np.float64))
    settings = {"markers": "minima", "level": 5.0}
    assert run(image, **settings).digest() == run(real, **settings).digest()


def test_inside_and_holes_are_left_out(scene):
    array, truth = scene
    array = array.astype(np.float32)
    array[6, 10, 12] = np.nan
    image = volume(array)
    area = np.zeros(truth.shape, dtype=np.uint8)
    area[2:11, 3:33, 3:38] = 1
    labels = LabelMap(area, image.geometry, (Segment(1, "Body"),))
    seeds = seed(image, (6, 10, 10), "Liver"), seed(image, (2, 32, 5), "Background")
    found = run(image, *seeds, inside="Body", labels=labels, background="")
    field = area > 0
    field[6, 10, 12] = False
    assert np.array_equal(found.array > 0, field)


def test_markers_are_needed(scene):
    image = volume(scene[0])
    with pytest.raises(InputError, match="at least two segments, given 1"):
        run(image, seed(image, (6, 10, 10), "Liver"))
    with pytest.raises(InputError, match="no seed"):
        run(image)
    with pytest.raises(InputError, match="nothing was segmented"):
        run(image, markers="labels")


def test_cancel_while_the_water_rises(rng):
    image = volume(rng.integers(0, 1000, (40, 90, 90)).astype(np.int16))
    token, seen = CancelToken(), []

    def progress(fraction, message=""):
        seen.append(fraction)
        if fraction > 0.3:
            token.cancel()

    step = SEGMENTERS.create("watershed")
    seeds = [seed(image, (5, 9, 9), "A"), seed(image, (30, 80, 80), "B")]
    with pytest.raises(Cancelled):
        step.run(image, {"seeds": seeds}, cancel=token, progress=progress)
    assert max(seen) < 1.0
