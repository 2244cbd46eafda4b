"""How a slice of an image is held to be seen: as radiologists hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry

ACROSS_DOWN = (
    ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
)
"""Directions (RAS) to the right and down on the screen of a sagittal, a coronal and an axial slice."""


@dataclass(frozen=True)
class Plane:
    """One slice's place on the screen.

    Parameters
    ----------
    axis : int
        Array axis (0 is K) that is not seen.
    transpose : bool
        True if the first of the two other axes runs across.
    flip_rows, flip_columns : bool
        True if rows or columns are turned round, after transposing.
    pixel_mm : tuple of float
        Height and width of a pixel in mm.
    """

    axis: int
    transpose: bool
    flip_rows: bool
    flip_columns: bool
    pixel_mm: tuple[float, float]

    def cut(self, slab: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array of shape (K, J, I) with one slice along the axis as rows and columns on the screen."""
        seen: npt.NDArray[Any] = np.take(slab, 0, axis=self.axis)
        if self.transpose:
            seen = seen.T
        if self.flip_rows:
            seen = seen[::-1]
        return seen[:, ::-1] if self.flip_columns else seen


def plane_of(geometry: Geometry, axis: int) -> Plane:
    """Return how slices across an array axis are held.

    An axial slice shows anterior at the top and the patient's right on the left, a coronal one superior at the top and
    the right on the left, a sagittal one superior at the top and anterior on the left.  Oblique grids are shown along
    their own axes, turned as near to that as swaps and flips can.
    """
    directions = geometry.direction.T[::-1]  # of K, J, I
    spacing = geometry.spacing_kji
    across, down = (np.asarray(v) for v in ACROSS_DOWN[geometry.axis_map[2 - axis][0]])
    first, second = (n for n in range(3) if n != axis)
    straight = abs(directions[first] @ down) + abs(directions[second] @ across)
    swapped = abs(directions[first] @ across) + abs(directions[second] @ down)
    transpose = bool(swapped > straight)
    rows, columns = (second, first) if transpose else (first, second)
    return Plane(
        axis,
        transpose,
        bool(directions[rows] @ down < 0),
        bool(directions[columns] @ across < 0),
        (float(spacing[rows]), float(spacing[columns])),
    )
