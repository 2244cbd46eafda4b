"""medai.core.sitk: voxels and geometry survive the way to SimpleITK and back."""

from __future__ import annotations

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.sitk import geometry_of, to_array, to_sitk

OBLIQUE = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])  # left-handed as well
GRID = Geometry.from_spacing((3, 4, 5), (0.5, 1.0, 2.0), (10.0, -20.0, 30.0), OBLIQUE)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("components", [(), (2,), (3,)])
def test_voxels_and_grid_come_back(dtype: str, components: tuple[int, ...]) -> None:
    array = np.arange(60 * int(np.prod(components, initial=1))).reshape(3, 4, 5, *components).astype(dtype)
    image = to_sitk(array, GRID)
    assert np.array_equal(to_array(image), array)
    assert to_array(image).dtype == np.dtype(dtype).newbyteorder("=")
    assert geometry_of(image).same_as(GRID, 1e-9)
    assert geometry_of(image).orientation == GRID.orientation


@pytest.mark.parametrize(("dtype", "kept"), [("?", "u1"), ("f2", "f4")])
def test_types_that_simpleitk_has_not(dtype: str, kept: str) -> None:
    array = (np.arange(60).reshape(3, 4, 5) % 2).astype(dtype)
    back = to_array(to_sitk(array, GRID))
    assert back.dtype == kept
    assert np.array_equal(back, array)


def test_simpleitk_sees_each_voxel_where_ours_says() -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = to_sitk(array, GRID)
    for k, j, i in [(0, 0, 0), (2, 3, 4), (1, 0, 3)]:
        r, a, s = GRID.to_ras((i, j, k))
        assert image.TransformIndexToPhysicalPoint((i, j, k)) == pytest.approx((-r, -a, s))
        assert image[i, j, k] == array[k, j, i]


def test_strided_views_are_taken() -> None:
    array = np.arange(60).reshape(5, 4, 3).transpose(2, 1, 0)[:, ::-1]
    assert np.array_equal(to_array(to_sitk(array, GRID)), array)


def test_a_sheared_grid_keeps_its_shear() -> None:
    matrix = np.eye(4)
    matrix[0, 2] = 0.3
    grid = Geometry((3, 4, 5), matrix)
    assert geometry_of(to_sitk(np.zeros((3, 4, 5)), grid)).same_as(grid, 1e-9)
