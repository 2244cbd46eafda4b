"""medai.core.separable: weights along one axis, against SciPy, and which grids are parallel."""

from __future__ import annotations

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.separable import axis_positions, axis_sampler, sample_axis

TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1.0]])


@pytest.mark.parametrize("size", [2, 3, 4, 5, 17, 3000])
@pytest.mark.parametrize(("interpolator", "order", "mode"), [("linear", 1, "nearest"), ("bspline", 3, "mirror")])
def test_weights_are_scipys(size, interpolator, order, mode, rng):
    from scipy.ndimage import map_coordinates

    values = rng.normal(size=size)
    where = np.sort(rng.uniform(-0.5, size - 0.5, 50))
    sampler = axis_sampler(where, size, interpolator, dtype=np.float64)
    found = sample_axis(values[None, :, None], sampler, 1)
    assert found.shape == (1, 50, 1)
    expected = map_coordinates(values, [where], order=order, mode=mode)
    np.testing.assert_allclose(found[0, :, 0], expected, atol=1e-6)
    assert sampler.inside.all()


@pytest.mark.parametrize("interpolator", ["nearest", "linear", "bspline"])
def test_samples_on_voxels_are_the_voxels(interpolator, rng):
    values = rng.normal(size=(6, 7, 8))
    for axis, size in enumerate(values.shape):
        sampler = axis_sampler(np.arange(size) + 1e-9, size, interpolator, dtype=np.float64)
        np.testing.assert_allclose(sample_axis(values, sampler, axis), values, atol=1e-7)


def test_reach_names_the_voxels_that_are_used():
    sampler = axis_sampler([0.0, 0.5, 3.25], 6, "linear")
    assert sampler.reach(0, 1) == (0, 1)
    assert sampler.reach(1, 3) == (0, 5)
    assert axis_sampler([0.4, 3.6], 6, "nearest").reach(1, 2) == (4, 5)


def test_samples_outside_are_known():
    sampler = axis_sampler([-0.6, -0.5, 2.5, 2.6], 3, "linear")
    assert sampler.inside.tolist() == [False, True, True, False]


def test_a_gaussian_before_sampling_is_scipys(rng):
    from scipy.ndimage import gaussian_filter1d

    values = rng.normal(size=40)
    sampler = axis_sampler(np.arange(40), 40, "linear", 2.3, np.float64)
    expected = gaussian_filter1d(values, 2.3, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(sample_axis(values[None, None], sampler, 2)[0, 0], expected, atol=1e-6)


def test_parallel_grids_have_positions_on_each_axis():
    source = Geometry.from_spacing((5, 6, 7), (1.0, 2.0, 3.0), (10, 20, 30), TURN)
    target = source.with_spacing((0.5, 1.0, 4.0)).flip(2)
    positions = axis_positions(source, target)
    assert positions is not None
    k, j, i = np.indices(target.shape)
    index = source.to_ijk(target.to_ras(np.stack([i, j, k], axis=-1)))
    for axis, line in enumerate(positions):
        shape = [1, 1, 1]
        shape[axis] = -1
        np.testing.assert_allclose(np.broadcast_to(line.reshape(shape), target.shape), index[..., 2 - axis], atol=1e-9)


def test_grids_that_are_not_parallel_have_none():
    source = Geometry.from_spacing((5, 6, 7), (1.0, 2.0, 3.0))
    assert axis_positions(source, Geometry.from_spacing((5, 6, 7), (1.0, 2.0, 3.0), direction=TURN)) is None
    assert axis_positions(source, source.transpose((1, 0, 2))) is None
