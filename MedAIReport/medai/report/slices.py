"""Where a picture lies in the patient: planes in radiological convention, and the grid that samples one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.geometry import FloatArray, Geometry
from medai.core.resample import resample_array

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
_OBLIQUE = float(np.sin(np.deg2rad(10.0)))
"""A second letter is written when a picture's axis leans more than this towards another direction."""


@dataclass(frozen=True)
class Plane:
    """A standard plane.

    Parameters
    ----------
    name, title : str
        Machine name and name for people.
    axis : int
        RAS axis that the plane is perpendicular to.
    right, down : tuple of float
        RAS directions of the picture's right and lower edges.
    """

    name: Literal["axial", "coronal", "sagittal"]
    title: str
    axis: int
    right: tuple[float, float, float]
    down: tuple[float, float, float]


# Axial pictures are seen from the feet, coronal ones from the front, sagittal ones from the left: the patient's right
# is on the left of axial and coronal pictures.
PLANES = (
    Plane("axial", "Axial", 2, (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    Plane("coronal", "Coronal", 1, (-1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    Plane("sagittal", "Sagittal", 0, (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
)


def picture_grid(
    centre: npt.ArrayLike, right: npt.ArrayLike, down: npt.ArrayLike, fov_mm: float, pixels: int
) -> Geometry:
    """Return a square grid of one slice, shape (1, pixels, pixels), I to the right and J down.

    Parameters
    ----------
    centre : array, shape (3,)
        RAS mm.
    right, down : array, shape (3,)
        RAS unit vectors at right angles.
    fov_mm : float
        Width and height.
    """
    columns = np.stack([np.asarray(right, float), np.asarray(down, float)], axis=1)
    normal = np.cross(columns[:, 0], columns[:, 1])
    step = fov_mm / pixels
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([columns * step, normal * step])
    matrix[:3, 3] = np.asarray(centre, float) - columns @ np.full(2, step * (pixels - 1) / 2.0)
    return Geometry((1, pixels, pixels), matrix)


def direction_letters(direction: npt.ArrayLike) -> str:
    """Return R/L, A/P, S/I letters of an RAS direction, the dominant one first; two at most."""
    vector = np.asarray(direction, dtype=np.float64)
    vector = vector / np.linalg.norm(vector)
    order = np.argsort(-np.abs(vector), kind="stable")
    return "".join(_LETTERS[a][int(vector[a] > 0)] for a in order[:2] if abs(vector[a]) > _OBLIQUE)


def edge_letters(grid: Geometry) -> dict[str, str]:
    """Return the letters at a picture's ``left``, ``right``, ``top`` and ``bottom``, read from its grid."""
    right, down = grid.direction[:, 0], grid.direction[:, 1]
    edges = {"left": -right, "right": right, "top": -down, "bottom": down}
    return {edge: direction_letters(vector) for edge, vector in edges.items()}


def native_axes(geometry: Geometry) -> tuple[Plane, FloatArray, FloatArray]:
    """Return (nearest plane, right, down) that show a one-slice image in its own plane, turned as radiologists expect.

    The picture's axes are the image's own, so an oblique slice is shown whole and its letters say how it leans.
    """
    thin = int(np.argmin(geometry.size))
    normal_axis = geometry.axis_map[thin][0]
    plane = next(p for p in PLANES if p.axis == normal_axis)
    rest = [column for column in range(3) if column != thin]
    wanted = np.asarray(plane.right)
    across = max(rest, key=lambda column: abs(float(geometry.direction[:, column] @ wanted)))
    down = next(column for column in rest if column != across)
    vectors = []
    for column, target in ((across, wanted), (down, np.asarray(plane.down))):
        vector = geometry.direction[:, column]
        vectors.append(vector if float(vector @ target) >= 0 else -vector)
    # A sheared grid's axes are not at right angles; the picture's must be.
    second = vectors[1] - vectors[0] * float(vectors[0] @ vectors[1])
    return plane, vectors[0], second / np.linalg.norm(second)


def sample(
    array: npt.NDArray[Any],
    geometry: Geometry,
    target: Geometry,
    interpolator: Literal["nearest", "linear"],
    fill: float,
    convert: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
) -> npt.NDArray[Any]:
    """Sample a picture, shape (rows, columns).

    Only the part of the image around the picture is read, and passed through ``convert`` first.
    """
    ijk = geometry.to_ijk(target.corners())
    low = np.clip(np.floor(ijk.min(axis=0)).astype(int) - 1, 0, np.asarray(geometry.size) - 1)
    high = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 2, low + 1, geometry.size)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    part = array[box] if convert is None else convert(array[box])
    grid = geometry.crop((int(low[2]), int(low[1]), int(low[0])), (part.shape[0], part.shape[1], part.shape[2]))
    return np.asarray(resample_array(part, grid, target, interpolator, fill)[0])
