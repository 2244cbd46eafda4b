"""Area, volume and outermost vertices of the marching cubes mesh of a mask, without storing the mesh.

The mesh of a binary mask at level 0.5 is made of 256 kinds of cubes (2 x 2 x 2 voxel centres).  Each kind is
triangulated once with scikit-image's marching cubes; a mask is then a histogram of kinds.  The result is the same as
meshing the whole mask (a test holds it to that), in memory for two slices, and can be cancelled between slices.
The mask counts as surrounded by background, so the mesh is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Cubes:
    """Triangles of the 256 kinds of cubes.

    Bit ``4 k + 2 j + i`` of a kind says whether corner (k, j, i) is inside.

    Parameters
    ----------
    kinds : array of int, shape (T,)
        Kind that each triangle belongs to.
    normals : array, shape (T, 3)
        Area vectors, K, J, I components, in index units.
    across, moment : array, shape (256,)
        Sum over a kind's triangles of the area across K, alone and times the K coordinate of the centroid.
    """

    kinds: npt.NDArray[np.int64]
    normals: FloatArray
    across: FloatArray
    moment: FloatArray


@cache
def _cubes() -> _Cubes:
    """Triangulate each kind of cube once.

    Vertices lie on the cube's edges at exact halves.  ``method="lewiner"`` (Lewiner et al. 2003) gives closed meshes
    for every mask.
    """
    from skimage.measure import marching_cubes

    kinds: list[int] = []
    corners: list[FloatArray] = []
    for kind in range(1, 255):
        inside = np.array([kind >> bit & 1 for bit in range(8)], dtype=np.float32).reshape(2, 2, 2)
        vertices, faces, _, _ = marching_cubes(inside, 0.5, method="lewiner")
        corners.append(vertices[faces].astype(np.float64))
        kinds += [kind] * len(faces)
    abc = np.concatenate(corners)
    number = np.asarray(kinds)
    normals = np.cross(abc[:, 1] - abc[:, 0], abc[:, 2] - abc[:, 0]) / 2
    moments = normals[:, 0] * abc[:, :, 0].mean(axis=1)
    return _Cubes(number, normals, _per_kind(number, normals[:, 0]), _per_kind(number, moments))


def _per_kind(kinds: npt.NDArray[np.int64], weights: FloatArray) -> FloatArray:
    """Sum weights over the triangles of each kind of cube, shape (256,)."""
    return np.asarray(np.bincount(kinds, weights, 256), dtype=np.float64)


@dataclass(frozen=True)
class Surface:
    """The closed surface of a mask.

    Parameters
    ----------
    area : float
        Sum of the triangles' areas, mm2.
    volume : float
        Enclosed volume, mm3.
    """

    area: float
    volume: float


def surface(mask: BoolArray, spacing_kji: tuple[float, float, float], *, cancel: CancelToken | None = None) -> Surface:
    """Measure the marching cubes surface of a mask.

    Parameters
    ----------
    mask : array of bool, shape (K, J, I)
        The region; everything outside the array is background.
    spacing_kji : tuple of float
        mm along K, J, I; the axes are at right angles.
    cancel : CancelToken, optional
        Polled once a slice.

    Raises
    ------
    Cancelled
        If somebody asked to stop.

    Notes
    -----
    Area: sum of ``|ab x ac| / 2`` over the triangles abc.  Volume: the divergence theorem with the field (k, 0, 0),
    that is the sum of each triangle's signed area across K times the K coordinate of its centroid; for a closed mesh
    this equals the sum of signed tetrahedra in the IBSI manual, and it needs only one histogram a layer.
    """
    token = cancel or CancelToken()
    cubes = _cubes()
    scale = np.prod(spacing_kji) / np.asarray(spacing_kji)
    area = _per_kind(cubes.kinds, np.asarray(np.linalg.norm(cubes.normals * scale, axis=1)))
    total = np.zeros(256, dtype=np.int64)
    enclosed = 0.0
    empty = np.zeros((mask.shape[1] + 1, mask.shape[2] + 1), dtype=np.uint8)
    below = empty
    for layer in range(mask.shape[0] + 1):
        token.check()
        above = _corners(mask[layer]) if layer < mask.shape[0] else empty
        counts = np.bincount((below | above << 4).reshape(-1), minlength=256)
        total += counts
        enclosed += layer * float(counts @ cubes.across) + float(counts @ cubes.moment)
        below = above
    return Surface(float(total @ area), abs(enclosed) * float(np.prod(spacing_kji)))


def _corners(plane: BoolArray) -> npt.NDArray[np.uint8]:
    """Return for each square of a padded slice which of its four corners are inside, one bit each (2 j + i)."""
    padded = np.zeros((plane.shape[0] + 2, plane.shape[1] + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = plane
    return np.asarray(padded[:-1, :-1] | padded[:-1, 1:] << 1 | padded[1:, :-1] << 2 | padded[1:, 1:] << 3)


def outer_vertices(mask: BoolArray) -> FloatArray:
    """Return mesh vertices among which are all corners of the mesh's convex hull, in index units.

    Parameters
    ----------
    mask : array of bool, shape (K, J, I), not empty

    Returns
    -------
    array, shape (N, 3)
        K, J, I coordinates; two of them whole, one on a half.

    Notes
    -----
    A mesh vertex lies half way between two voxels along one axis, or is the mean of such points.  On a line of voxels
    only the first and the last can be a corner of the hull, and of these only one that stands out further than the
    mean of its two neighbours.
    """
    parts = []
    for axis in range(3):
        filled = mask.any(axis=axis)
        first = mask.argmax(axis=axis) - 0.5
        last = mask.shape[axis] - 0.5 - np.flip(mask, axis).argmax(axis=axis)
        for position, outward in ((first, -1.0), (last, 1.0)):
            height = np.where(filled, outward * position, -np.inf)
            rows, columns = np.nonzero(filled & _stands_out(height))
            points = [rows.astype(np.float64), columns.astype(np.float64)]
            points.insert(axis, position[rows, columns])
            parts.append(np.stack(points, axis=1))
    return np.concatenate(parts)


def _stands_out(height: FloatArray) -> BoolArray:
    """Return where a height map is above the mean of its neighbours on both sides, along both axes."""
    padded = np.pad(height, 1, constant_values=-np.inf)
    along_rows = (padded[:-2, 1:-1] + padded[2:, 1:-1]) / 2
    along_columns = (padded[1:-1, :-2] + padded[1:-1, 2:]) / 2
    return np.asarray((height > along_rows) & (height > along_columns))


def largest_distance(points: FloatArray, *, cancel: CancelToken | None = None) -> float:
    """Return the largest distance between two points of a point set that spans space.

    Parameters
    ----------
    points : array, shape (N, 3)
    cancel : CancelToken, optional
        Polled once a block of 512 points.

    Notes
    -----
    The two most distant points are corners of the convex hull (Qhull through SciPy).  With d a distance that occurs
    and r the largest distance from a centre, both of them are at least d - r away from the centre; only such corners
    are compared with each other.
    """
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import cdist

    token = cancel or CancelToken()
    corners = points[ConvexHull(points).vertices] if len(points) > 32 else points
    reach = np.linalg.norm(corners - (corners.min(axis=0) + corners.max(axis=0)) / 2, axis=1)
    first = corners[np.argmax(reach)]
    second = corners[np.argmax(np.linalg.norm(corners - first, axis=1))]
    known = float(np.linalg.norm(corners - second, axis=1).max())
    far = corners[reach >= (known - reach.max()) * (1 - 1e-9)]
    longest = known
    for start in range(0, len(far), 512):
        token.check()
        longest = max(longest, float(cdist(far[start : start + 512], far).max()))
    return longest
