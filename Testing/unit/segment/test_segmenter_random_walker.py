"""Random walker: scikit-image's on the grid's spacing, seeds and background by name."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS, random_walker

NAMES = ("Left", "Right", "Background")


def scene(rng, shape=(10, 16, 20), spacing=(1.0, 1.0, 2.0), noise=5.0):
    truth = np.zeros(shape, dtype=np.uint8)
    truth[2:8, 4:12, 2:9], truth[2:8, 4:12, 11:18] = 1, 2
    array = np.array([0, 100, 200])[truth] + rng.normal(0, noise, shape)
    image = Volume(array.astype(np.float32), Geometry.from_spacing(shape, spacing))
    seeds = np.zeros(shape, dtype=np.uint8)
    seeds[4, 8, 5], seeds[4, 8, 14], seeds[:, 0, :] = 1, 2, 3
    labels = LabelMap(seeds, image.geometry, tuple(Segment(n, name) for n, name in enumerate(NAMES, start=1)))
    return image, labels, truth


def run(image, labels, **settings):
    return SEGMENTERS.create("random_walker").run(image, settings, labels=labels)


def test_one_voxel_a_structure_is_enough(rng):
    image, seeds, truth = scene(rng)
    found = run(image, seeds)
    assert [s.name for s in found.segments] == ["Left", "Right"]
    assert np.mean(found.array == truth) > 0.995


def test_it_equals_scikit_image(rng):
    from skimage.segmentation import random_walker as theirs

    image, seeds, _ = scene(rng, noise=40.0)
    spacing = np.array([2.0, 1.0, 1.0]) / 2.0 ** (1 / 3)
    scaled = (image.array - image.array.min()) / np.ptp(image.array)
    expected = theirs(scaled, seeds.array.astype(int), beta=90, mode="cg_j", tol=1e-6, spacing=spacing)
    found = run(image, seeds, beta=90.0, tolerance=1e-6, background="")
    assert [s.name for s in found.segments] == list(NAMES)
    assert np.mean(found.array == expected) > 0.999


def test_scale_of_the_intensities_does_not_matter(rng):
    image, seeds, _ = scene(rng)
    other = image.replace(array=image.array * 1000 - 5e4)
    assert np.mean(run(image, seeds).array == run(other, seeds).array) > 0.999


def test_inside_stays_inside_and_nan_stays_empty(rng):
    image, seeds, truth = scene(rng)
    array = image.array.copy()
    array[5, 9, 13] = np.nan
    box = seeds.array.copy()
    room = np.zeros(box.shape, bool)
    room[:, :, 10:] = True
    box[room & (box == 0)] = 4
    labels = LabelMap(box, image.geometry, (*seeds.segments, Segment(4, "Room")))
    found = run(image.replace(array=array), labels, inside="Room")
    outside = ~room & (seeds.array == 0)
    assert not found.array[outside].any()
    assert found.array[5, 9, 13] == 0
    assert found.array[4, 8, 5] == 1, "a seed that is cut off from all others keeps its label"
    expected = (truth == 2) & room
    expected[5, 9, 13] = False
    assert np.mean((found.array == 2)[room] == expected[room]) > 0.99


def test_a_single_slice_and_a_single_line(rng):
    image, seeds, truth = scene(rng)
    for cut in ((slice(4, 5),), (slice(4, 5), slice(8, 9))):
        grid = Geometry.from_spacing(image.array[cut].shape, (1.0, 1.0, 2.0))
        marks = seeds.array[cut].copy()
        marks[..., :1], marks[..., -1:] = 3, 3
        found = run(Volume(image.array[cut], grid), LabelMap(marks, grid, seeds.segments), beta=1000.0)
        assert np.mean(found.array == truth[cut]) >= 0.9


def test_seeds_and_size_are_checked(rng, monkeypatch):
    image, seeds, _ = scene(rng)
    alone = LabelMap((seeds.array == 1).astype(np.uint8), image.geometry, (Segment(1, "Left"),))
    with pytest.raises(InputError, match="seeds of at least two segments, and 1 has"):
        run(image, alone)
    with pytest.raises(InputError, match="needs segments to start from"):
        run(image, None)
    monkeypatch.setattr(random_walker, "MOST_VOXELS", 100)
    with pytest.raises(InputError, match="at most 100 voxels at once, given 3200"):
        run(image, seeds)
