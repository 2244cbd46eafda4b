"""Which part of the image a key image shows."""

from __future__ import annotations

import numpy as np

from medai.core.geometry import FloatArray, Geometry

from .slices import Plane

_CONTEXT = 2.2
_SMALLEST_FOV_MM = 60.0
_DIRECTION = (("L", "R"), ("P", "A"), ("I", "S"))


def _extent(geometry: Geometry) -> tuple[FloatArray, FloatArray]:
    """RAS mm of the image's box, lower and upper, from the outer faces of its voxels."""
    edges = [(-0.5, n - 0.5) for n in geometry.size]
    corners = geometry.to_ras([(i, j, k) for i in edges[0] for j in edges[1] for k in edges[2]])
    return corners.min(axis=0), corners.max(axis=0)


def field_of_view(points: FloatArray, geometry: Geometry) -> float:
    """Enough around the segment to recognise where it is, but no more than the image."""
    low, high = _extent(geometry)
    wanted = max(_CONTEXT * float(np.ptp(points, axis=0).max()), _SMALLEST_FOV_MM)
    return float(min(wanted, (high - low).max()))


def native_centre(points: FloatArray, fov: float, geometry: Geometry) -> FloatArray:
    """Return the middle of a picture of a one-slice image, RAS mm; it lies in the slice, however oblique that is."""
    ijk = geometry.to_ijk(points)
    middle = (ijk.min(axis=0) + ijk.max(axis=0)) / 2
    half = np.minimum(fov / np.asarray(geometry.spacing), geometry.size) / 2
    return geometry.to_ras(np.clip(middle, half - 0.5, np.asarray(geometry.size) - 0.5 - half))


def _clamp(centre: FloatArray, fov: float, geometry: Geometry) -> FloatArray:
    """Move a picture's centre so that it shows as little of the outside as possible."""
    low, high = _extent(geometry)
    half = np.minimum(fov, high - low) / 2
    return np.asarray(np.clip(centre, low + half, high - half))


def slice_centre(plane: Plane, points: FloatArray, fov: float, geometry: Geometry) -> FloatArray:
    """Return the middle of the picture; the slice is the one in which the segment is largest."""
    along = points[:, plane.axis]
    step = max(1e-3, float(geometry.spacing[_column(geometry, plane.axis)]))
    bins = np.rint((along - along.min()) / step).astype(int)
    fullest = int(np.argmax(np.bincount(bins)))
    inside = along[bins == fullest]
    centre = _clamp(np.asarray((points.min(axis=0) + points.max(axis=0)) / 2), fov, geometry)
    # On the centre of a voxel, so that the slice shows real samples and a one-voxel segment is hit.
    centre[plane.axis] = inside[np.argmin(np.abs(inside - np.median(inside)))]
    return centre


def _column(geometry: Geometry, axis: int) -> int:
    return next(column for column, (ras, _) in enumerate(geometry.axis_map) if ras == axis)


def place(plane: Plane, centre: FloatArray) -> str:
    """Return where a slice lies, for example ``S 12.3 mm``: that far towards the head from the frame's origin."""
    value = float(centre[plane.axis])
    return f"{_DIRECTION[plane.axis][value >= 0]} {abs(value):.1f} mm"
