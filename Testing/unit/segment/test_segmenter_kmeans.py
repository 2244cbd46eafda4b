"""k-means: never worse than scikit-learn's, and with position and texture."""

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS


def volume(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry.from_spacing(array.shape, spacing))


def run(array, spacing=(1.0, 1.0, 1.0), **settings):
    return SEGMENTERS.create("kmeans").run(volume(array, spacing), settings)


def scatter(array, labels):
    return sum(float(((array[labels == n] - array[labels == n].mean()) ** 2).sum()) for n in np.unique(labels))


@pytest.mark.parametrize("classes", [2, 3, 5, 8])
def test_the_optimum_is_at_least_as_good_as_scikit_learns(classes, rng):
    cluster = pytest.importorskip("sklearn.cluster")
    array = np.concatenate([rng.normal(m, 15, 2000) for m in (20, 60, 130, 220)]).round().reshape(8, 20, 50)
    theirs = cluster.KMeans(classes, n_init=5, random_state=0).fit(array.reshape(-1, 1))
    ours = scatter(array, run(array.astype(np.int16), classes=classes).array)
    assert ours <= theirs.inertia_ * (1 + 1e-9)
    if classes <= 3:  # few enough for scikit-learn to find the optimum
        assert ours == pytest.approx(theirs.inertia_, rel=1e-3)


def test_real_numbers_are_divided_to_within_a_bin(rng):
    array = np.concatenate([rng.normal(m, 0.1, 3000) for m in (-1.0, 0.2, 1.5)]).astype(np.float32).reshape(9, 20, 50)
    labels = run(array, classes=3)
    assert np.array_equal(labels.array.reshape(-1), np.repeat([1, 2, 3], 3000))
    assert labels.meta["kmeans"]["means"] == pytest.approx([-1.0, 0.2, 1.5], abs=0.01)


def test_texture_tells_apart_what_intensity_cannot(rng):
    """Two halves of the same mean, one of which is rough."""
    array = rng.normal(100, 2, (12, 24, 24))
    array[:, :, 12:] = rng.normal(100, 20, (12, 24, 12))
    away = np.ones(array.shape, bool)
    away[:, :, 9:15] = False
    truth = np.zeros(array.shape, bool)
    truth[:, :, 12:] = True
    apart = []
    for texture in (0.0, 3.0):
        labels = run(array.astype(np.float32), classes=3, texture=texture, texture_mm=2.0).array
        rough = np.isin(labels, [n for n in (1, 2, 3) if truth[(labels == n) & away].mean() > 0.5])
        apart.append(float(np.mean((rough == truth)[away])))
    assert apart[1] > 0.97
    assert apart[1] > apart[0] + 0.1


def test_position_keeps_classes_together_and_counts_mm(rng):
    """Noise without structure: with position alone deciding, the cut goes across the longest axis in mm."""
    array = rng.normal(0, 1, (10, 12, 14)).astype(np.float32)
    labels = run(array, (1.0, 1.0, 10.0), classes=2, position=10.0).array
    top = labels[:5].mean() - labels[5:].mean()
    assert abs(top) > 0.95
    assert abs(labels[:, :, :7].mean() - labels[:, :, 7:].mean()) < 0.1


def test_labels_with_features_rise_with_the_intensity_too(rng):
    array = np.repeat(np.array([200.0, 10.0, 100.0]), 800).reshape(3, 20, 40).transpose(1, 0, 2)
    array = np.ascontiguousarray(array + rng.normal(0, 2, array.shape)).astype(np.float32)
    labels = run(array, classes=3, position=0.2, texture=0.2, drop_darkest=True)
    means = [array[labels.array == n].mean() for n in (0, 1, 2)]
    assert means == sorted(means)
    assert labels.meta["kmeans"]["means"] == sorted(labels.meta["kmeans"]["means"])


def test_smoothness_and_features_are_two_ways(rng):
    with pytest.raises(SettingsError, match="smoothness goes with intensity alone"):
        run(rng.normal(0, 1, (4, 5, 6)), smoothness=1.0, texture=1.0)


def test_nan_beside_texture_is_no_neighbour(rng):
    array = np.where(np.arange(24) < 12, 10.0, 50.0) + rng.normal(0, 1, (6, 10, 24))
    array[3, 5, 6] = np.nan
    labels = run(array.astype(np.float32), classes=2, texture=0.5).array
    assert labels[3, 5, 6] == 0
    assert np.array_equal(labels[3, 5, 5:8], [1, 0, 1])
