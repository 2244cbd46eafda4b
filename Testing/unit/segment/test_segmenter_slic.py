"""Supervoxels: pieces of equal length in mm, inside edges, and their classes."""

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters.slic import grid_size


def volume(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry.from_spacing(array.shape, spacing))


def run(image, labels=None, **settings):
    return SEGMENTERS.create("slic").run(image, settings, labels=labels)


@pytest.fixture
def scene(rng):
    truth = np.zeros((16, 32, 32), dtype=int)
    truth[:, 6:18, 5:17], truth[:, 16:27, 18:29] = 1, 2
    return truth, (np.array([0, 400, 900])[truth] + rng.normal(0, 20, truth.shape)).astype(np.int16)


def test_pieces_cover_everything_in_the_number_asked_for(scene):
    _, array = scene
    labels = run(volume(array), pieces=64)
    assert 32 <= len(labels.segments) <= 128
    assert labels.array.min() == 1
    assert [s.label for s in labels.segments] == list(range(1, len(labels.segments) + 1))
    assert min(labels.counts().values()) > 0


def test_pieces_are_numbered_by_mean_intensity_and_are_connected(scene):
    from scipy.ndimage import label

    _, array = scene
    labels = run(volume(array), pieces=60).array
    means = [array[labels == n].mean() for n in range(1, labels.max() + 1)]
    assert means == sorted(means)
    assert all(label(labels == n, np.ones((3, 3, 3)))[1] == 1 for n in range(1, labels.max() + 1))


def test_pieces_keep_to_edges(scene):
    """The share of voxels that lie in a piece of mostly their own structure."""
    truth, array = scene
    labels = run(volume(array), pieces=150).array
    majority = np.zeros(labels.max() + 1, dtype=int)
    for n in range(1, labels.max() + 1):
        majority[n] = np.bincount(truth[labels == n]).argmax()
    assert np.mean(majority[labels] == truth) > 0.98


def test_the_grid_is_made_of_cubes_in_mm():
    assert grid_size((100, 100, 100), (1.0, 1.0, 1.0), 1000) == [10, 10, 10]
    assert grid_size((20, 100, 100), (5.0, 1.0, 1.0), 1000) == [2, 10, 10]
    assert grid_size((1, 100, 100), (5.0, 1.0, 1.0), 100) == [1, 10, 10]
    assert grid_size((1, 1, 1), (5.0, 1.0, 1.0), 100) == [1, 1, 1]


def test_classes_put_the_pieces_together(scene):
    truth, array = scene
    labels = run(volume(array), pieces=200, classes=3)
    assert [s.name for s in labels.segments] == ["Class 1", "Class 2", "Class 3"]
    assert np.mean(labels.array == truth + 1) > 0.98


def test_inside_and_nan(scene):
    truth, array = scene
    array = array.astype(np.float32)
    array[8, 10, 10] = np.nan
    image = volume(array)
    body = (truth > 0).astype(np.uint8)
    labels = run(image, LabelMap(body, image.geometry, (Segment(1, "Body"),)), pieces=80, inside="Body", classes=2)
    expected = truth.copy()
    expected[8, 10, 10] = 0
    assert labels.array[8, 10, 10] == 0
    assert np.mean(labels.array == expected) > 0.98


def test_the_same_image_gives_the_same_pieces_in_every_type(scene):
    _, array = scene
    first = run(volume(array), pieces=100)
    assert first.digest() == run(volume(array), pieces=100).digest()
    assert np.array_equal(first.array, run(volume(array.astype(np.float64)), pieces=100).array)


def test_what_cannot_be_done_is_refused():
    with pytest.raises(SettingsError, match=r"slic\.pieces"):
        run(volume(np.zeros((4, 5, 6))), pieces=5001)
    with pytest.raises(InputError, match="as many different supervoxels, and there are 1"):
        run(volume(np.zeros((4, 5, 6))), pieces=4, classes=3)
