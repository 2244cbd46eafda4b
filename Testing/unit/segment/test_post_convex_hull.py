"""Convex hulls plane by plane."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.segment.postprocess.convex_hull import ConvexHull, hull_of


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_hull_of_the_voxel_centres(seed):
    """Against half-planes of scipy's hull."""
    spatial = pytest.importorskip("scipy.spatial")
    rng = np.random.default_rng(seed)
    plane = np.zeros((25, 31), dtype=bool)
    plane[tuple(rng.integers(2, 23, (2, 4 + 3 * seed)))] = True
    hull = spatial.ConvexHull(np.argwhere(plane))
    points = np.argwhere(np.ones_like(plane))
    inside = (points @ hull.equations[:, :2].T + hull.equations[:, 2] <= 1e-3).all(axis=1).reshape(plane.shape)
    assert np.array_equal(hull_of(plane), inside)


@pytest.mark.parametrize("points", [[], [(3, 4)], [(3, 4), (3, 9)], [(2, 4), (8, 4)], [(1, 1), (3, 3), (5, 5)]])
def test_few_points(points):
    plane = np.zeros((10, 12), dtype=bool)
    for point in points:
        plane[point] = True
    found = hull_of(plane)
    assert (found & plane).sum() == plane.sum()
    expected = {0: 0, 1: 1}.get(len(points))
    if expected is None:
        expected = {(3, 4): 6, (2, 4): 7, (1, 1): 5}[points[0]]
    assert found.sum() == expected


def test_a_dent_open_to_the_border_is_filled_in_the_chosen_planes_only():
    array = np.zeros((6, 20, 20), dtype=np.uint8)
    array[1:4, 2:18, 2:20] = 1
    array[1:4, 6:14, 8:20] = 0  # cut off by the image's border
    array[4, 5, 5] = 2
    labels = LabelMap(array, Geometry.from_spacing(array.shape), (Segment(1, "Body"), Segment(2, "Other")))
    found = ConvexHull().run(labels, {"segments": ["Body"]})
    assert (found.array[1:4, 2:18, 2:20] == 1).all()
    assert found.array[0].max() == 0
    assert found.array[4, 5, 5] == 2
    assert found.counts()[1] == 3 * 16 * 18
