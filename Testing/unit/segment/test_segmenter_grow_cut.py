"""Grow-cut from painted seeds."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS

SPACING = (0.7, 1.1, 2.5)
SEGMENTS = (Segment(1, "Liver"), Segment(2, "Background"), Segment(3, "Spleen"))


def run(array, seeds, **settings):
    geometry = Geometry.from_spacing(array.shape, SPACING)
    return SEGMENTERS.create("grow_cut").run(
        Volume(array, geometry), settings, labels=LabelMap(seeds, geometry, SEGMENTS)
    )


def reference(array, seeds, weight):
    """Return the cost of the cheapest path from each label, shape (labels, K, J, I), by Dijkstra's algorithm."""
    number = np.arange(array.size).reshape(array.shape)
    rows, columns, tolls = [], [], []
    for axis, spacing in enumerate(SPACING[::-1]):
        one = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        two = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        rows.append(number[one].ravel())
        columns.append(number[two].ravel())
        # each step costs one unit more, here 2^-7: the image's range is 0 to 500, in at most 65536 parts
        tolls.append((np.abs(array[one] - array[two]) + weight * spacing + 2**-7).ravel())
    graph = coo_array((np.concatenate(tolls), (np.concatenate(rows), np.concatenate(columns))), shape=(array.size,) * 2)
    costs = [
        dijkstra(graph.tocsr(), directed=False, indices=number[seeds == label], min_only=True)
        for label in (1, 2, 3)
    ]  # fmt: skip
    return np.stack(costs).reshape(3, *array.shape)


@pytest.mark.parametrize("shape", [(6, 17, 19), (1, 23, 31), (9, 1, 14)])
@pytest.mark.parametrize("weight", [0.0, 8.0])
def test_equals_dijkstra(rng, shape, weight):
    array = rng.integers(0, 501, shape).astype(np.float64)
    array.flat[:2] = 0, 500
    seeds = np.zeros(shape, dtype=np.uint8)
    for label in (1, 2, 3):
        for _ in range(3):
            seeds[tuple(int(rng.integers(n)) for n in shape)] = label
    found = run(array, seeds, distance_weight=weight, background="", margin_mm=1000).array
    whole = run(array.astype(np.int16), seeds, distance_weight=weight, background="", margin_mm=1000).array
    assert np.array_equal(found, whole)
    costs = reference(array, seeds, weight)
    assert set(np.unique(found)) == {1, 2, 3}
    own = np.take_along_axis(costs, found[None].astype(int) - 1, axis=0)[0]
    assert np.allclose(own, costs.min(axis=0), rtol=1e-5, atol=1e-4)
    assert (found[seeds > 0] == seeds[seeds > 0]).all()


def test_flat_regions_go_by_steps_and_ties_to_the_lower_label():
    seeds = np.zeros((1, 5, 9), dtype=np.uint8)
    seeds[0, 2, 0], seeds[0, 2, 8] = 3, 1
    found = run(np.full((1, 5, 9), 7, dtype=np.int16), seeds, background="", margin_mm=100)
    assert np.array_equal(found.array[0], np.tile(np.where(np.arange(9) < 4, 3, 1), (5, 1)))


def test_a_body_is_cut_out_of_its_background(rng):
    array = rng.normal(40, 5, (12, 30, 32))
    array[3:9, 8:22, 9:24] += 100
    seeds = np.zeros(array.shape, dtype=np.uint8)
    seeds[5:7, 14:16, 15:17] = 1
    seeds[0], seeds[:, 0], seeds[:, :, 0] = 2, 2, 2
    found = run(array, seeds)
    assert [s.name for s in found.segments] == ["Liver"]
    truth = array > 90
    assert 2 * (truth & (found.array == 1)).sum() / (truth.sum() + (found.array == 1).sum()) > 0.98
    assert found.flags == ()
    assert run(array, seeds, background="").segment("Background").label == 2


def test_the_box_limits_the_work():
    array = np.zeros((5, 40, 40), dtype=np.int16)
    seeds = np.zeros(array.shape, dtype=np.uint8)
    seeds[2, 20, 20], seeds[2, 20, 22] = 1, 3
    found = run(array, seeds, margin_mm=2.3, background="").array
    assert sorted({int(n) for n in np.nonzero(found)[1]}) == list(range(17, 24))
    assert sorted({int(n) for n in np.nonzero(found)[0]}) == [1, 2, 3]


def test_inside_a_segment_and_past_holes():
    array = np.zeros((3, 9, 9))
    array[1, 4, 4] = np.nan
    seeds = np.zeros(array.shape, dtype=np.uint8)
    seeds[:, 2:7, 2:7] = 2
    seeds[1, 2, 2], seeds[1, 6, 6] = 1, 3
    found = run(array, seeds, inside="Background", background="", margin_mm=100)
    assert found.array[1, 4, 4] == 0
    field = seeds == 2
    field[1, 4, 4] = False
    field[1, 2, 2] = field[1, 6, 6] = True  # the seeds lie in holes that they make in the segment themselves
    assert np.array_equal(found.array > 0, field)
    assert [s.name for s in found.segments] == ["Liver", "Spleen"]


def test_one_painted_segment_is_not_enough():
    seeds = np.zeros((3, 4, 5), dtype=np.uint8)
    seeds[1, 1, 1] = 1
    with pytest.raises(InputError, match="at least two painted segments, given 1"):
        run(np.zeros((3, 4, 5)), seeds)
