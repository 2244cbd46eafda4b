"""Areas of the surface elements of a mask, one for each kind of 2 x 2 x 2 (in a plane: 2 x 2) neighbourhood.

A surface element sits where eight voxels meet and not all of them agree; its area is that of the marching cubes
triangles between the eight voxel centres (Lorensen and Cline, Computer Graphics 21, 163 (1987)).  A neighbourhood with
more than four voxels inside gets the triangles of its complement.  The areas equal those of Nikolov et al., "Deep
learning to achieve clinically applicable segmentation of head and neck anatomy", arXiv:1809.04430, and of the programs
that follow it (DeepMind's surface-distance, MONAI with ``use_subvoxels``); a test holds them to that.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Steps = FloatArray
"""Step of each array axis in mm, shape (D, D): row a is the vector from one voxel to the next along axis a."""


def kinds(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return which kind of neighbourhood is at each voxel corner.

    Parameters
    ----------
    mask : array of bool, 2D or 3D
        Outside the array is outside.

    Returns
    -------
    array of uint8, one longer along each axis
        In 3D bit ``4 k + 2 j + i`` says whether the neighbour (k, j, i), each 0 or 1, is inside; in 2D bit
        ``2 j + i``.  Element n along an axis lies between the voxels n - 1 and n.
    """
    padded = np.pad(mask.view(np.uint8), 1)
    result = np.zeros([n + 1 for n in mask.shape], dtype=np.uint8)
    for bit, corner in enumerate(itertools.product((0, 1), repeat=mask.ndim)):
        part = padded[tuple(slice(c, c + n + 1) for c, n in zip(corner, mask.shape, strict=True))]
        result |= part << np.uint8(bit)
    return result


def areas(steps: Steps) -> FloatArray:
    """Return the area in mm2 (in a plane: the length in mm) of each kind, shape (256,) or (16,).

    Parameters
    ----------
    steps : array, shape (D, D)
        Step of each array axis in mm; right angles are not needed.
    """
    if len(steps) == 2:
        return _lengths(steps)
    numbers, normals = _triangles()
    # An area vector turns with the inverse transposed matrix, and scales with the determinant.
    turned = normals @ np.linalg.inv(steps).T * abs(np.linalg.det(steps))
    return np.asarray(np.bincount(numbers, np.linalg.norm(turned, axis=1), 256))


@cache
def _triangles() -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the kind of each triangle, shape (T,), and its area vector in index units, shape (T, 3)."""
    from skimage.measure import marching_cubes

    numbers: list[int] = []
    normals = []
    for kind in range(1, 255):
        inside = np.array([kind >> bit & 1 for bit in range(8)], dtype=np.float32).reshape(2, 2, 2)
        vertices, faces, _, _ = marching_cubes(inside if inside.sum() <= 4 else 1 - inside, 0.5, method="lorensen")
        abc = vertices[faces].astype(np.float64)
        numbers += [kind] * len(faces)
        normals.append(np.cross(abc[:, 1] - abc[:, 0], abc[:, 2] - abc[:, 0]) / 2)
    return np.asarray(numbers), np.concatenate(normals)


def _lengths(steps: Steps) -> FloatArray:
    """Return the contour's length through a square of each kind: it joins the middles of the square's sides."""
    rows, columns = np.linalg.norm(steps, axis=1)
    rising, falling = np.linalg.norm(steps[0] + steps[1]) / 2, np.linalg.norm(steps[0] - steps[1]) / 2
    length = np.zeros(16)
    for kind in range(1, 15):
        a, b, c, d = (kind >> bit & 1 for bit in range(4))  # a b above c d
        if a == b and c == d:
            length[kind] = columns
        elif a == c and b == d:
            length[kind] = rows
        else:
            # One corner differs from the other three, or two opposite ones do: each is cut off by a diagonal.
            odd = a + b + c + d
            rare = 1 if odd <= 2 else 0
            length[kind] = sum(falling if n in (0, 3) else rising for n, v in enumerate((a, b, c, d)) if v == rare)
    return length
