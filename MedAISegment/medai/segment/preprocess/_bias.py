"""A smooth field on the whole grid from the few values that determine it: B-splines as ITK evaluates them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
ORDER = 3


def spans(levels: int, points: int = ORDER + 1) -> int:
    """Return the intervals between knots along an axis after ``levels`` fits, each halving the last one's."""
    return int((points - ORDER) * 2 ** (levels - 1))


def basis(size: int, intervals: int) -> Reals:
    """Return the cubic B-splines at each voxel, shape (size, intervals + 3).

    ITK puts the first voxel's centre at 0 and the last one's at ``intervals``, with one knot at each whole number
    (``BSplineControlPointImageFilter``).
    """
    place = np.arange(size) / max(1, size - 1) * intervals
    distance = np.abs(place[:, None] - np.arange(intervals + ORDER) + 1)
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance) ** 3 / 6
    return np.asarray(np.where(distance < 1, inner, np.where(distance < 2, outer, 0.0)))


def control_points(samples: npt.NDArray[Any], intervals: int) -> Reals:
    """Return the control points of a field that is such a spline along every axis, from its values on a coarse grid.

    Parameters
    ----------
    samples : array
        Values at places evenly spread from border to border, at least ``intervals + 3`` along each axis.
    """
    points = samples.astype(np.float64)
    for axis, size in enumerate(samples.shape):
        points = np.moveaxis(np.tensordot(np.linalg.pinv(basis(size, intervals)), points, axes=(1, axis)), 0, axis)
    return points


class SmoothField:
    """The field at every voxel of a grid, slice by slice.

    Parameters
    ----------
    points : array, shape (n, n, n)
        Control points along K, J, I; one along an axis of one voxel.
    shape : tuple of int
        Of the grid, (K, J, I).
    intervals : int
        Between knots, along every axis.
    """

    def __init__(self, points: Reals, shape: tuple[int, int, int], intervals: int) -> None:
        self._down, self._rows, self._columns = (
            np.ones((size, 1)) if count == 1 else basis(size, intervals)
            for size, count in zip(shape, points.shape, strict=True)
        )
        self._points = points

    def slices(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return the field in some slices, shape (stop - start, J, I)."""
        few = np.tensordot(self._down[start:stop], self._points, axes=1)
        rows = np.matmul(self._rows, few).astype(np.float32)
        return np.asarray(np.matmul(rows, self._columns.T.astype(np.float32)))
