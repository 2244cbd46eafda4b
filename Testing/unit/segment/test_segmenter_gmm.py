"""Gaussian mixtures on the histogram and on features, against scikit-learn on the voxels."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters._mixture import MOST_VALUES, fit_mixture


def run(array, **settings):
    return SEGMENTERS.create("gmm").run(Volume(array, Geometry.from_spacing(array.shape)), settings)


def sample(rng):
    parts = [rng.normal(40, 5, 2000), rng.normal(100, 20, 5000), rng.normal(190, 8, 1000)]
    return np.concatenate(parts).round().reshape(8, 20, 50)


def test_the_fit_equals_scikit_learns(rng):
    mixture = pytest.importorskip("sklearn.mixture")
    array = sample(rng)
    theirs = mixture.GaussianMixture(3, n_init=3, random_state=0, tol=1e-7, max_iter=1000).fit(array.reshape(-1, 1))
    order = np.argsort(theirs.means_[:, 0])
    facts = run(array.astype(np.int16), classes=3).meta["gmm"]
    assert facts["means"] == pytest.approx(theirs.means_[order, 0].tolist(), rel=0.01)
    assert facts["shares"] == pytest.approx(theirs.weights_[order].tolist(), abs=0.01)
    assert facts["sds"] == pytest.approx(np.sqrt(theirs.covariances_[order, 0, 0]).tolist(), rel=0.02)
    predicted = np.argsort(order)[theirs.predict(array.reshape(-1, 1))] + 1
    assert np.mean(run(array.astype(np.int16), classes=3).array.reshape(-1) == predicted) > 0.995


def test_a_wide_class_beside_a_narrow_one_is_cut_where_the_densities_cross(rng):
    """Where k-means cuts half-way, the mixture knows the widths."""
    array = np.concatenate([rng.normal(0, 3, 10_000), rng.normal(60, 20, 10_000)]).reshape(20, 20, 50)
    labels = run(array.astype(np.float32), classes=2)
    highest = float(array[labels.array == 1].max())
    assert 8 < highest < 14  # the densities cross near 10.5


def test_one_value_a_class_does_not_break_the_fit():
    """A class without width: the floor keeps the likelihood finite."""
    array = np.resize(np.array([0] * 50 + [10, 11, 12, 13, 14], dtype=np.int16), (5, 11, 20))
    labels = run(array, classes=2)
    assert np.array_equal(labels.array == 2, array > 0)


def test_many_different_values_are_put_together(rng):
    values = np.arange(60_000, dtype=np.float64)
    weights = np.exp(-0.5 * ((values - 15_000) / 3000) ** 2) + 0.5 * np.exp(-0.5 * ((values - 42_000) / 2000) ** 2)
    assert len(values) > MOST_VALUES
    found = fit_mixture(values, weights + 1e-12, 2, cancel=CancelToken())
    assert found.means == pytest.approx([15_000, 42_000], rel=1e-3)
    assert np.sqrt(found.variances) == pytest.approx([3000, 2000], rel=1e-2)
    assert found.weights == pytest.approx([0.75, 0.25], abs=1e-3)


def test_features_equal_scikit_learns_full_covariances(rng):
    mixture = pytest.importorskip("sklearn.mixture")
    from scipy.ndimage import uniform_filter

    array = rng.normal(100, 3, (10, 20, 20))
    array[:, :, 10:] = rng.normal(110, 15, (10, 20, 10))
    array = array.astype(np.float32)
    labels = run(array, classes=2, texture=1.0, texture_mm=2.0)
    mean = uniform_filter(array.astype(float), 5)
    spread = np.sqrt(uniform_filter(array.astype(float) ** 2, 5) - mean**2)
    vectors = np.stack([array, mean, spread], axis=-1).reshape(-1, 3)
    theirs = mixture.GaussianMixture(2, n_init=5, random_state=0).fit_predict(vectors).reshape(array.shape)
    theirs = theirs if theirs[:, :, 15:].mean() > 0.5 else 1 - theirs
    assert np.mean(labels.array - 1 == theirs) > 0.98


def test_smoothness_fits_the_distributions_again(rng):
    truth = np.zeros((12, 20, 20), dtype=int)
    truth[:, 5:15, 5:15] = 1
    array = (np.array([50.0, 80.0])[truth] + rng.normal(0, 20, truth.shape)).astype(np.float32)
    alone, together = run(array, classes=2), run(array, classes=2, smoothness=1.0)
    assert np.mean(together.array == truth + 1) > 0.95 > np.mean(alone.array == truth + 1) + 0.1
    assert together.meta["gmm"]["means"] == pytest.approx([50, 80], abs=2.5)
    assert together.meta["gmm"]["sds"] == pytest.approx([20, 20], abs=2.5)
