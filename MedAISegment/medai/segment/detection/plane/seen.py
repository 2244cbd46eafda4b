"""Slices as they are looked at: the same picture however the image is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry
from medai.core.resample import reorient_plan

from .settings import Plane

LETTERS = {"axial": "LPS", "coronal": "LIP", "sagittal": "PIL"}
"""Directions in which columns, rows and slices grow: as radiologists look at each plane."""
Box = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Seen:
    """How an image's axes become slices, rows and columns, and back.

    Parameters
    ----------
    axes : tuple of int
        Array axes for ``transpose``: which axis of the image (0 is K) gives slices, rows, columns.
    flips : tuple of bool
        Which of slices, rows, columns are turned round after that.
    shape : tuple of int
        Slices, rows, columns.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, geometry: Geometry, plane: Plane) -> Seen:
        """Return how a grid is looked at.

        ``auto`` takes the plane in which an image of one slice lies, and axial slices of a volume.  Oblique grids are
        looked at along their own axes, turned as near to the plane as swaps and flips can.
        """
        if plane == "auto":
            plane = "axial"
            if 1 in geometry.shape:
                across = geometry.axis_map[2 - geometry.shape.index(1)][0]
                plane = ("sagittal", "coronal", "axial")[across]
        axes, flips = reorient_plan(geometry, LETTERS[plane])
        slices, rows, columns = (geometry.shape[axis] for axis in axes)
        return cls(axes, flips, (slices, rows, columns))

    def look(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array (K, J, I[, components]) as a view (slices, rows, columns[, components])."""
        turned = array.transpose(*self.axes, *range(3, array.ndim))
        return np.flip(turned, self._turned)

    def back(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array (slices, rows, columns) as a view in the image's own order (K, J, I)."""
        axes = [int(axis) for axis in np.argsort(self.axes)]
        return np.flip(array, self._turned).transpose(axes)

    @property
    def _turned(self) -> tuple[int, ...]:
        return tuple(axis for axis, flip in enumerate(self.flips) if flip)

    def box_back(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> Box:
        """Return a box, corners in edge coordinates along slices, rows, columns, as corners I, J, K, I, J, K."""
        ends: dict[int, tuple[float, float]] = {}
        for place, axis in enumerate(self.axes):
            a, b = low[place], high[place]
            ends[axis] = (self.shape[place] - b, self.shape[place] - a) if self.flips[place] else (a, b)
        (k0, k1), (j0, j1), (i0, i1) = ends[0], ends[1], ends[2]
        return i0, j0, k0, i1, j1, k1
