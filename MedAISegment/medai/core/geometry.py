"""The grid of an image: array shape in KJI order and the affine from IJK indices to RAS millimetres.

Conventions, used everywhere in MedAI:

- arrays are indexed ``[k, j, i]`` (slice, row, column), as Slicer's ``arrayFromVolume`` gives them;
- ``ijk_to_ras`` maps the *centre* of voxel (i, j, k) to (R, A, S) in mm; NIfTI uses the same axes, DICOM and ITK
  use LPS = (-R, -A, S);
- ``spacing`` and ``orientation`` follow the I, J, K axes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import GeometryError

FloatArray = npt.NDArray[np.float64]

SAME_GRID_MM = 1e-3
"""Two grids are the same when no corner voxel's centre differs by more than this."""
SHEAR_TOLERANCE = 1e-3
"""Largest |cosine| between two axes that still counts as a right angle (single-precision headers reach 1e-4)."""

MAX_VOXELS_PER_AXIS = 2**31 - 1
MAX_COORDINATE_MM = 1e9

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_AXIS_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class Geometry:
    """An immutable grid.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along (K, J, I), each at least 1.
    ijk_to_ras : array, shape (4, 4)
        Affine, mm, RAS.

    Raises
    ------
    GeometryError
        If the affine is not finite, singular, has a zero axis, or its last row is not (0, 0, 0, 1).
    """

    shape: tuple[int, int, int]
    ijk_to_ras: FloatArray

    def __post_init__(self) -> None:
        try:
            shape = tuple(operator.index(n) for n in self.shape)
            matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        except (TypeError, ValueError):
            raise GeometryError("A grid needs three whole sizes (K, J, I) and a 4 x 4 matrix of numbers.") from None
        if len(shape) != 3 or not all(1 <= n <= MAX_VOXELS_PER_AXIS for n in shape):
            raise GeometryError(f"A grid needs three positive sizes (K, J, I), given {shape}.")
        if matrix.shape != (4, 4):
            raise GeometryError(f"ijk_to_ras must be 4 x 4, given {matrix.shape}.")
        if not np.isfinite(matrix).all():
            raise GeometryError("The image's affine contains NaN or infinity.", hint="Repair the file's header.")
        if np.abs(matrix).max() > MAX_COORDINATE_MM:
            raise GeometryError(
                f"The image's affine holds the value {np.abs(matrix).max():.3g} mm.", hint="Repair the file's header."
            )
        if not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
            raise GeometryError(f"The affine's last row must be (0, 0, 0, 1), given {matrix[3].tolist()}.")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if (lengths < 1e-6).any():
            raise GeometryError(
                f"The voxel spacing along I, J, K is {_text(lengths)} mm; each must be greater than 0.",
                hint="Repair the file's header.",
            )
        determinant = float(np.linalg.det(matrix[:3, :3] / lengths))
        if abs(determinant) < 1e-3:
            raise GeometryError(
                f"The image axes do not span space (their unit vectors have determinant {determinant:.2g}).",
                hint="Repair the direction matrix in the file's header.",
            )
        matrix[3] = (0.0, 0.0, 0.0, 1.0)
        matrix += 0.0  # -0.0 becomes 0.0, so that equal grids have equal bytes, hashes and digests
        matrix.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "ijk_to_ras", matrix)

    @classmethod
    def from_spacing(
        cls,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        direction: npt.ArrayLike | None = None,
    ) -> Geometry:
        """Build a grid from its parts.

        Parameters
        ----------
        shape : tuple of int
            (K, J, I).
        spacing : tuple of float
            mm along I, J, K; each > 0.
        origin : tuple of float
            RAS mm of the centre of voxel (0, 0, 0).
        direction : array, shape (3, 3), optional
            Columns are the unit vectors of I, J, K in RAS; identity if not given.

        Raises
        ------
        GeometryError
            If the spacing is not positive and finite, or a direction is no unit vector.
        """
        _require_spacing(spacing)
        axes = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64)
        if axes.shape != (3, 3) or not np.allclose(np.linalg.norm(axes, axis=0), 1.0, atol=1e-3):
            raise GeometryError("The direction's three columns must be unit vectors.")
        matrix = np.eye(4)
        matrix[:3, :3] = axes * np.asarray(spacing, dtype=np.float64)
        matrix[:3, 3] = origin
        return cls(shape, matrix)

    @classmethod
    def from_lps(cls, shape: tuple[int, int, int], ijk_to_lps: npt.ArrayLike) -> Geometry:
        """Build a grid from an affine in LPS mm, as ITK and DICOM use."""
        return cls(shape, _LPS @ np.asarray(ijk_to_lps, dtype=np.float64))

    @property
    def ijk_to_lps(self) -> FloatArray:
        """The affine in LPS mm, shape (4, 4)."""
        return np.asarray(_LPS @ self.ijk_to_ras)

    @cached_property
    def ras_to_ijk(self) -> FloatArray:
        """Inverse of ``ijk_to_ras``, shape (4, 4)."""
        inverse = np.asarray(np.linalg.inv(self.ijk_to_ras))
        inverse.setflags(write=False)
        return inverse

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along I, J, K."""
        lengths = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def spacing_kji(self) -> tuple[float, float, float]:
        """Voxel size in mm along K, J, I: the order of the array's axes."""
        return self.spacing[::-1]

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels along I, J, K."""
        return self.shape[::-1]

    @property
    def origin(self) -> tuple[float, float, float]:
        """RAS mm of the centre of voxel (0, 0, 0)."""
        r, a, s = self.ijk_to_ras[:3, 3]
        return float(r), float(a), float(s)

    @property
    def direction(self) -> FloatArray:
        """Unit vectors of I, J, K in RAS as columns, shape (3, 3)."""
        return np.asarray(self.ijk_to_ras[:3, :3] / np.asarray(self.spacing))

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3, correct for sheared grids too."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])))

    @property
    def is_right_handed(self) -> bool:
        """True if I x J points along +K in RAS."""
        return bool(np.linalg.det(self.ijk_to_ras[:3, :3]) > 0)

    @property
    def max_shear(self) -> float:
        """Largest |cosine| between two axes; 0 for a rectangular grid."""
        gram = self.direction.T @ self.direction
        return float(np.abs(gram - np.eye(3)).max())

    @property
    def is_sheared(self) -> bool:
        """True if two axes are not at right angles (see :data:`SHEAR_TOLERANCE`)."""
        return self.max_shear > SHEAR_TOLERANCE

    @cached_property
    def axis_map(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """For I, J, K: (nearest RAS axis 0..2, sign).  Each RAS axis is used once.

        The assignment maximises the summed |cosine| over those that give no axis a right angle to its RAS axis.
        Cosines are rounded to 1e-6, so that an exact 45 degree tie does not hang on the last bit: it goes to the
        assignment nearest to (R, A, S).
        """
        cosines = np.round(np.abs(self.direction), 6)
        orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]

        def merit(order: tuple[int, int, int]) -> tuple[bool, float]:
            chosen = [float(cosines[order[axis], axis]) for axis in range(3)]
            return min(chosen) > 0.0, round(sum(chosen), 5)

        best = max(orders, key=merit)
        pairs = [(best[axis], 1 if self.direction[best[axis], axis] > 0 else -1) for axis in range(3)]
        return pairs[0], pairs[1], pairs[2]

    @property
    def orientation(self) -> str:
        """Letters of the directions in which I, J, K grow, for example ``LPS`` or ``RAS``."""
        return "".join(_AXIS_LETTERS[axis][sign > 0] for axis, sign in self.axis_map)

    @property
    def is_oblique(self) -> bool:
        """True if an axis is more than 0.5 degrees away from R, A or S."""
        cosines = [abs(self.direction[axis, column]) for column, (axis, _) in enumerate(self.axis_map)]
        return bool(min(cosines) < np.cos(np.deg2rad(0.5)))

    def to_ras(self, ijk: npt.ArrayLike) -> FloatArray:
        """Map index coordinates, shape (..., 3) in I, J, K order, to RAS mm."""
        points = np.asarray(ijk, dtype=np.float64)
        return np.asarray(points @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3])

    def to_ijk(self, ras: npt.ArrayLike) -> FloatArray:
        """Map RAS mm, shape (..., 3), to continuous index coordinates in I, J, K order."""
        points = np.asarray(ras, dtype=np.float64)
        return np.asarray(points @ self.ras_to_ijk[:3, :3].T + self.ras_to_ijk[:3, 3])

    def corners(self) -> FloatArray:
        """RAS mm of the centres of the eight corner voxels, shape (8, 3)."""
        i, j, k = (n - 1 for n in self.size)
        return self.to_ras([(a, b, c) for c in (0, k) for b in (0, j) for a in (0, i)])

    @property
    def centre(self) -> FloatArray:
        """RAS mm of the middle of the grid, shape (3,)."""
        return self.to_ras((np.asarray(self.size) - 1) / 2.0)

    def difference_mm(self, other: Geometry) -> float:
        """Largest distance between matching corner voxels in mm; infinity if the shapes differ."""
        if self.shape != other.shape:
            return float("inf")
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())

    def same_as(self, other: Geometry, tolerance_mm: float = SAME_GRID_MM) -> bool:
        """Return True if both grids have the same shape and no corner differs by more than ``tolerance_mm``."""
        return self.difference_mm(other) <= tolerance_mm

    def require_same(self, other: Geometry, what: str = "mask") -> None:
        """Raise :class:`GeometryError` showing both grids unless they are the same.

        Parameters
        ----------
        other : Geometry
            The grid that must equal this one.
        what : str
            What ``other`` belongs to, for the message.
        """
        if not self.same_as(other):
            gap = self.difference_mm(other)
            raise GeometryError(
                f"The {what} grid ({other.describe()}) differs from the image grid ({self.describe()})"
                + (f" by up to {gap:.3g} mm." if np.isfinite(gap) else "."),
                hint=f"Resample the {what} onto the image's grid first.",
            )

    def crop(self, start_kji: tuple[int, int, int], shape: tuple[int, int, int]) -> Geometry:
        """Return the grid of a box; ``start_kji`` may be negative (padding)."""
        matrix = self.ijk_to_ras.copy()
        matrix[:3, 3] = self.to_ras(start_kji[::-1])
        return Geometry(shape, matrix)

    def flip(self, axis: int) -> Geometry:
        """Return the grid of the array flipped along array axis 0 (K), 1 (J) or 2 (I)."""
        if axis not in (0, 1, 2):
            raise ValueError(f"expected array axis 0, 1 or 2, got {axis}")
        column = 2 - axis
        matrix = self.ijk_to_ras.copy()
        matrix[:3, 3] += matrix[:3, column] * (self.shape[axis] - 1)
        matrix[:3, column] *= -1
        return Geometry(self.shape, matrix)

    def transpose(self, axes: tuple[int, int, int]) -> Geometry:
        """Return the grid of ``array.transpose(axes)``; ``axes`` are array (KJI) axes as numpy takes them."""
        if sorted(axes) != [0, 1, 2]:
            raise ValueError(f"expected each array axis 0, 1, 2 once, got {axes}")
        columns = [2 - axes[2 - column] for column in range(3)]
        matrix = self.ijk_to_ras.copy()
        matrix[:3, :3] = self.ijk_to_ras[:3, columns]
        return Geometry((self.shape[axes[0]], self.shape[axes[1]], self.shape[axes[2]]), matrix)

    def with_spacing(self, spacing: tuple[float, float, float]) -> Geometry:
        """Return a grid of another spacing (mm along I, J, K) over the same box, aligned by its centre.

        The number of voxels is the box's length over the new spacing, rounded up, so nothing is cut off (as IBSI).

        Raises
        ------
        GeometryError
            If the spacing is not positive and finite, or gives more voxels along an axis than are allowed.
        """
        _require_spacing(spacing)
        lengths = np.asarray(self.size) * np.asarray(self.spacing)
        counts = np.maximum(1, np.ceil(lengths / np.asarray(spacing) - 1e-6))
        if counts.max() > MAX_VOXELS_PER_AXIS:
            raise GeometryError(
                f"A spacing of {_text(spacing)} mm would give {counts.max():.3g} voxels along one axis.",
                hint="Choose a larger spacing.",
            )
        size = counts.astype(int)
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction * np.asarray(spacing)
        matrix[:3, 3] = self.centre - matrix[:3, :3] @ ((size - 1) / 2.0)
        return Geometry((int(size[2]), int(size[1]), int(size[0])), matrix)

    def describe(self) -> str:
        """One line for messages: size, spacing, orientation, origin."""
        size = " x ".join(str(n) for n in self.size)
        return f"{size} voxels of {_text(self.spacing)} mm, {self.orientation}, origin {_text(self.origin)} mm RAS"

    def to_dict(self) -> dict[str, Any]:
        """Return the grid as JSON-ready values."""
        return {"shape": list(self.shape), "ijk_to_ras": self.ijk_to_ras.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Geometry:
        """Rebuild a grid that :meth:`to_dict` wrote; raises :class:`GeometryError` if it is not one."""
        try:
            return cls(tuple(data["shape"]), data["ijk_to_ras"])
        except (KeyError, TypeError):
            raise GeometryError("A grid needs the keys shape and ijk_to_ras.") from None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Geometry)
            and self.shape == other.shape
            and bool(np.array_equal(self.ijk_to_ras, other.ijk_to_ras))
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.ijk_to_ras.tobytes()))


def _require_spacing(spacing: Sequence[float]) -> None:
    if len(spacing) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise GeometryError(f"The voxel spacing must be three positive, finite numbers, given {tuple(spacing)} mm.")


def _text(values: Any) -> str:
    return "(" + ", ".join(f"{float(v):.4g}" for v in values) + ")"
