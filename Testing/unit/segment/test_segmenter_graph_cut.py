"""Graph cut: the exact minimum of its cost, proved by trying and by the flow, and what seeds and edges do."""

import itertools

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS, graph_cut
from medai.segment.segmenters.graph_cut import GraphCutSettings, capacities


def labels_for(array, front, back, spacing=(1.0, 1.0, 1.0)):
    image = Volume(array, Geometry.from_spacing(array.shape, spacing))
    seeds = np.zeros(array.shape, dtype=np.uint8)
    seeds[front], seeds[back] = 1, 2
    return image, LabelMap(seeds, image.geometry, (Segment(1, "Thing"), Segment(2, "Background")))


def run(image, labels, **settings):
    return SEGMENTERS.create("graph_cut").run(image, settings, labels=labels)


def cost(graph, chosen):
    """What a cut costs: the capacities from the source's side to the sink's."""
    side = np.append(chosen, [True, False])
    coo = graph.tocoo()
    return int(coo.data[side[coo.row] & ~side[coo.col]].sum())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 1.0, 3.0)])
def test_no_other_cut_is_cheaper(spacing, rng):
    """All 2^10 ways to divide the free voxels of 2 x 2 x 3."""
    array = rng.integers(0, 100, (2, 2, 3)).astype(np.int16)
    image, labels = labels_for(array, (0, 0, 0), (1, 1, 2), spacing)
    found = run(image, labels, boundary=0.8)
    assert found.array[0, 0, 0] == 1
    assert found.array[1, 1, 2] == 0
    numbers = np.arange(12).reshape(array.shape)
    sides = (labels.array == 1, labels.array == 2)
    weights = graph_cut.neighbour_weights(image.geometry.spacing_kji)
    graph = capacities(array.astype(float), numbers, sides, weights, GraphCutSettings(boundary=0.8))
    ways = (np.array([True, *way, False]) for way in itertools.product([False, True], repeat=10))
    assert cost(graph, found.array.reshape(-1) == 1) == min(cost(graph, way) for way in ways)


def test_the_cut_costs_what_flows(rng):
    """Max-flow equals min-cut: a certificate for a size that cannot be tried out."""
    from scipy.sparse.csgraph import maximum_flow

    array = rng.normal(0, 30, (12, 14, 16))
    array[3:9, 4:10, 5:12] += 100
    image, labels = labels_for(array, (6, 7, 8), (slice(None), 0), (1.0, 1.5, 2.5))
    found = run(image, labels)
    numbers = np.arange(array.size, dtype=np.int32).reshape(array.shape)
    weights = graph_cut.neighbour_weights(image.geometry.spacing_kji)
    graph = capacities(array, numbers, (labels.array == 1, labels.array == 2), weights, GraphCutSettings())
    assert cost(graph, found.array.reshape(-1) == 1) == maximum_flow(graph, array.size, array.size + 1).flow_value


def test_a_noisy_box_is_found(rng):
    truth = np.zeros((14, 20, 22), bool)
    truth[4:10, 5:15, 6:16] = True
    array = (100 * truth + rng.normal(0, 40, truth.shape)).astype(np.float32)
    image, labels = labels_for(array, (slice(6, 8), slice(8, 12), slice(9, 13)), (slice(None), slice(0, 3)))
    found = run(image, labels).array == 1
    assert np.mean(found == truth) > 0.99
    assert np.mean((array > 50) == truth) < 0.92


def test_edges_alone_are_enough_when_the_intensity_is_ambiguous():
    """A box with a bright rim, the same grey inside and outside."""
    array = np.zeros((11, 15, 15))
    array[2:9, 3:12, 3:12] = 100
    array[3:8, 4:11, 4:11] = 0
    image, labels = labels_for(array, (slice(4, 7), slice(5, 10), slice(5, 10)), (slice(None), 0))
    found = run(image, labels, intensity=0.0, edge=20.0).array == 1
    assert found[3:8, 4:11, 4:11].all()
    assert not found[array.shape[0] - 1].any()
    assert 5 * 7 * 7 <= found.sum() <= 7 * 9 * 9


def test_inside_nan_and_a_single_slice(rng):
    array = np.zeros((1, 16, 16), dtype=np.float32)
    array[0, 4:12, 4:12] = 100
    array[0, 7, 7] = np.nan
    image, seeds = labels_for(array, (0, 8, 8), (0, 0))
    room = seeds.array.copy()
    room[0, :10][room[0, :10] == 0] = 3
    room[0, 0] = 2
    labels = LabelMap(room, image.geometry, (*seeds.segments, Segment(3, "Room")))
    whole = run(image, labels).array[0]
    assert whole[7, 7] == 0
    assert np.count_nonzero(whole) == 63
    with pytest.raises(InputError, match="cannot be both a seed"):
        run(image, labels, inside="Background")
    half = run(image, labels, inside="Room").array[0]
    assert not half[10:].any()
    assert np.array_equal(half[:10], whole[:10])


def test_a_seed_without_voxels_is_named():
    image, labels = labels_for(np.zeros((4, 5, 6)), (1, 1, 1), (3, 3, 3))
    nothing = labels.replace(array=np.where(labels.array == 1, 0, labels.array))
    with pytest.raises(InputError, match="'Thing' has no voxel here"):
        run(image, nothing)


def test_seeds_and_size_are_checked(monkeypatch):
    image, labels = labels_for(np.zeros((4, 5, 6)), (1, 1, 1), (3, 3, 3))
    with pytest.raises(InputError, match="no segment called 'Tumour'"):
        run(image, labels, foreground="Tumour")
    only = LabelMap((labels.array == 2).astype(np.uint8), image.geometry, (Segment(1, "Background"),))
    with pytest.raises(InputError, match="no segment beside 'Background'"):
        run(image, only)
    monkeypatch.setattr(graph_cut, "MOST_VOXELS", 100)
    with pytest.raises(InputError, match="at most 100 voxels"):
        run(image, labels)
