"""Multi-Otsu: the exact optimum, and scikit-image's."""

import itertools

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters._partition import best_partition
from medai.segment.segmenters.threshold import otsu


def squares(values, weights, cuts):
    bounds = [0, *cuts, len(values)]
    return sum(
        float(weights[a:b] @ (values[a:b] - np.average(values[a:b], weights=weights[a:b])) ** 2)
        for a, b in itertools.pairwise(bounds)
    )


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_no_other_division_is_better(classes, rng):
    for _ in range(20):
        count = int(rng.integers(classes, 12))
        values = np.sort(rng.choice(1000, count, replace=False)).astype(np.float64)
        weights = rng.integers(1, 100, count).astype(np.float64)
        best = min(squares(values, weights, cuts) for cuts in itertools.combinations(range(1, count), classes - 1))
        assert squares(values, weights, best_partition(values, weights, classes)) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_thresholds_equal_scikit_image(classes, rng):
    """It returns the last value of each darker class, ours the first of the brighter one."""
    from skimage.filters import threshold_multiotsu

    array = np.concatenate([rng.normal(m, s, 3000) for m, s in ((30, 8), (90, 10), (150, 9), (210, 12))])
    array = array.round().clip(0, 255).astype(np.uint8).reshape(10, 30, 40)
    theirs = threshold_multiotsu(array, classes)
    labels = SEGMENTERS.create("multi_otsu").run(
        Volume(array, Geometry.from_spacing(array.shape)), {"classes": classes}
    )
    assert np.array_equal(labels.array, np.digitize(array, theirs, right=True) + 1)
    if classes == 2:
        assert labels.meta["multi_otsu"]["thresholds"] == [otsu(array)]


def test_many_values_take_the_same_way(rng):
    """65,536 different values: the division by halves against the same criterion on every single threshold."""
    weights = rng.integers(1, 1000, 65536).astype(np.float64)
    values = np.arange(65536, dtype=np.float64)
    below, moment = np.cumsum(weights)[:-1], np.cumsum(weights * (values - 32768))
    above = weights.sum() - below
    between = below * above * (moment[:-1] / below - (moment[-1] - moment[:-1]) / above) ** 2
    assert best_partition(values, weights, 2) == [int(np.argmax(between)) + 1]
