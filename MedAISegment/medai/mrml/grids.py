"""Bringing label arrays onto another grid, exactly where the two grids share their voxel centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import GeometryError
from ..core.geometry import SAME_GRID_MM, Geometry
from ..core.resample import resample_array

Array = npt.NDArray[Any]


def place(array: Array, geometry: Geometry, target: Geometry, resample: bool) -> Array:
    """Return a label array on another grid, 0 where the source does not reach.

    If both grids have the same voxel centres up to 1e-3 mm (one may be cropped, padded, flipped or have its axes
    swapped), voxels are moved, not interpolated.

    Parameters
    ----------
    array : numpy array of integers, shape (K, J, I)
    geometry, target : Geometry
        The array's grid and the wanted one.
    resample : bool
        Take the nearest voxel if the grids have different voxel centres.

    Raises
    ------
    GeometryError
        If they have and ``resample`` is false; both grids are in the message.
    """
    mapping = _lattice_map(geometry, target)
    if mapping is None:
        if resample:
            return resample_array(array, geometry, target, "nearest")
        raise GeometryError(
            f"The segmentation grid ({geometry.describe()}) differs from the image grid ({target.describe()}).",
            hint="Ask for resample=True to take the nearest voxel, or resample the segmentation onto the image first.",
        )
    turned, start = _turn(array, mapping)
    result = np.zeros(target.shape, dtype=array.dtype)
    inside = [(max(0, a), min(n, a + m)) for a, m, n in zip(start, turned.shape, target.shape, strict=True)]
    if all(low < high for low, high in inside):
        to_box = tuple(slice(low, high) for low, high in inside)
        from_box = tuple(slice(low - a, high - a) for (low, high), a in zip(inside, start, strict=True))
        result[to_box] = turned[from_box]
    return result


def counts_outside(array: Array, geometry: Geometry, target: Geometry) -> dict[int, int]:
    """Return how many voxels of each label have their centre outside ``target``'s box of whole voxels."""
    limits = np.asarray(target.size) - 0.5 + 1e-6
    corners = target.to_ijk(geometry.corners())
    if (corners >= -0.5 - 1e-6).all() and (corners <= limits).all():
        return {}
    where = np.nonzero(array)
    ijk = target.to_ijk(geometry.to_ras(np.stack(where[::-1], axis=-1)))
    outside = ((ijk < -0.5 - 1e-6) | (ijk > limits)).any(axis=-1)
    values, counts = np.unique(array[where][outside], return_counts=True)
    return {int(v): int(n) for v, n in zip(values, counts, strict=True)}


def _lattice_map(geometry: Geometry, target: Geometry) -> npt.NDArray[np.int64] | None:
    """Return the whole-number map from the source's IJK to the target's, shape (4, 4), or None if there is none."""
    exact = target.ras_to_ijk @ geometry.ijk_to_ras
    whole = np.rint(exact)
    turn = np.abs(whole[:3, :3])
    if not ((turn.sum(axis=0) == 1).all() and (turn.sum(axis=1) == 1).all()):
        return None
    i, j, k = (n - 1 for n in geometry.size)
    corners = np.array([(a, b, c) for c in (0, k) for b in (0, j) for a in (0, i)], dtype=np.float64)
    moved = target.to_ras(corners @ whole[:3, :3].T + whole[:3, 3])
    if np.linalg.norm(moved - geometry.to_ras(corners), axis=1).max() > SAME_GRID_MM:
        return None
    return whole.astype(np.int64)


def _turn(array: Array, mapping: npt.NDArray[np.int64]) -> tuple[Array, tuple[int, int, int]]:
    """Swap and flip axes as a lattice map asks; returns the view and where its first voxel lies (K, J, I)."""
    size = array.shape[::-1]
    axes, start = [0, 0, 0], [0, 0, 0]
    result_flips = []
    for target_axis in range(3):
        source_axis = int(np.abs(mapping[target_axis, :3]).argmax())
        sign = int(mapping[target_axis, source_axis])
        axes[2 - target_axis] = 2 - source_axis
        offset = int(mapping[target_axis, 3])
        start[2 - target_axis] = offset if sign > 0 else offset - (size[source_axis] - 1)
        if sign < 0:
            result_flips.append(2 - target_axis)
    turned = array.transpose(axes)
    return (np.flip(turned, tuple(result_flips)) if result_flips else turned), (start[0], start[1], start[2])
