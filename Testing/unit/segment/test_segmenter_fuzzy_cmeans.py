"""Fuzzy c-means on the histogram against the same formulas on the voxels."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters._mixture import fuzzy_centres, memberships


def on_voxels(values, centres, m, rounds=400):
    """Bezdek's two formulas in turn, voxel by voxel."""
    for _ in range(rounds):
        distance = np.abs(values[:, None] - centres) + 1e-12
        share = 1 / ((distance[:, :, None] / distance[:, None, :]) ** (2 / (m - 1))).sum(axis=2)
        centres = (share**m * values[:, None]).sum(axis=0) / (share**m).sum(axis=0)
    return centres, share


@pytest.mark.parametrize("m", [1.5, 2.0, 3.0])
def test_centres_and_memberships_equal_the_formulas_on_voxels(m, rng):
    voxels = np.concatenate([rng.normal(20, 5, 600), rng.normal(60, 8, 300), rng.normal(120, 10, 300)]).round()
    values, counts = np.unique(voxels, return_counts=True)
    centres = fuzzy_centres(values, counts.astype(float), 3, m, cancel=CancelToken())
    expected, share = on_voxels(voxels, np.array([10.0, 70.0, 130.0]), m)
    assert centres == pytest.approx(np.sort(expected), abs=1e-3)
    assert np.allclose(memberships(voxels, centres, m), share, atol=1e-3)


def test_a_value_on_a_centre_belongs_to_it_alone():
    assert memberships(np.array([3.0, 5.0]), np.array([3.0, 7.0]), 2.0).tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_near_one_it_is_k_means(rng):
    array = np.concatenate([rng.normal(m, 9, 2000) for m in (20, 70, 140)]).round().astype(np.int16).reshape(6, 20, 50)
    image = Volume(array, Geometry.from_spacing(array.shape))
    fuzzy = SEGMENTERS.create("fuzzy_cmeans").run(image, {"classes": 3, "fuzziness": 1.05})
    assert np.mean(fuzzy.array == SEGMENTERS.create("kmeans").run(image, {"classes": 3}).array) > 0.999
