"""medai.mrml.grids: label arrays on another grid of the same voxel centres."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")

from hypothesis import given, settings
from hypothesis import strategies as st

from medai.core.errors import GeometryError
from medai.core.geometry import Geometry
from medai.mrml.grids import counts_outside, place

AXES = st.permutations(range(3))
SMALL = st.tuples(*[st.integers(1, 5)] * 3)
SHIFT = st.tuples(*[st.integers(-4, 4)] * 3)


def source(shape, seed=0):
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    geometry = Geometry.from_spacing(shape, tuple(rng.uniform(0.3, 3, 3)), tuple(rng.normal(0, 50, 3)), axes)
    return rng.integers(0, 5, shape).astype(np.uint8), geometry


def by_position(array, geometry, target):
    """The same, voxel by voxel through RAS positions."""
    result = np.zeros(target.shape, array.dtype)
    for k, j, i in np.ndindex(target.shape):
        a, b, c = np.rint(geometry.to_ijk(target.to_ras((i, j, k)))).astype(int)
        if all(0 <= v < n for v, n in zip((c, b, a), geometry.shape, strict=True)):
            result[k, j, i] = array[c, b, a]
    return result


@settings(max_examples=60, deadline=None)
@given(shape=SMALL, axes=AXES, flips=st.tuples(*[st.booleans()] * 3), shift=SHIFT, box=SMALL, seed=st.integers(0, 9))
def test_turned_flipped_cropped_and_padded(shape, axes, flips, shift, box, seed):
    array, geometry = source(shape, seed)
    target = geometry.transpose(tuple(axes))
    for axis, flip in enumerate(flips):
        target = target.flip(axis) if flip else target
    target = target.crop(shift, box)
    assert np.array_equal(place(array, geometry, target, False), by_position(array, geometry, target))
    inside = int((place(array, geometry, target, False) > 0).sum())
    assert sum(counts_outside(array, geometry, target).values()) == int((array > 0).sum()) - inside


@pytest.mark.parametrize("shift", [0.01, 0.5])
def test_other_voxel_centres_need_a_choice(shift):
    array, geometry = source((3, 4, 5))
    matrix = geometry.ijk_to_ras.copy()
    matrix[1, 3] += shift
    target = Geometry(geometry.shape, matrix)
    with pytest.raises(GeometryError, match="differs from the image grid"):
        place(array, geometry, target, False)
    assert place(array, geometry, target, True).shape == target.shape


def test_a_rotation_by_a_right_angle_with_equal_spacing_is_exact():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    geometry = Geometry.from_spacing((2, 3, 4), (1.5, 1.5, 1.5))
    turned = Geometry.from_spacing((2, 4, 3), (1.5, 1.5, 1.5), (4.5, 0, 0), [[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert np.array_equal(place(array, geometry, turned, False), by_position(array, geometry, turned))


def test_a_rotation_by_a_right_angle_with_other_spacing_is_not():
    geometry = Geometry.from_spacing((2, 3, 4), (1.0, 1.5, 1.5))
    turned = Geometry.from_spacing((2, 4, 3), (1.0, 1.5, 1.5), (4.5, 0, 0), [[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    with pytest.raises(GeometryError):
        place(np.zeros((2, 3, 4), np.uint8), geometry, turned, False)


def test_outside_is_counted_per_label():
    array = np.zeros((4, 4, 4), np.uint8)
    array[0], array[3] = 1, 2
    geometry = Geometry.from_spacing(array.shape)
    assert counts_outside(array, geometry, geometry) == {}
    assert counts_outside(array, geometry, geometry.crop((1, 0, 0), (3, 4, 4))) == {1: 16}
    assert counts_outside(array, geometry, geometry.crop((0, 0, 2), (3, 4, 2))) == {1: 8, 2: 16}
