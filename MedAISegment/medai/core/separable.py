"""Interpolation between grids whose axes are parallel: one small matrix an axis, and no copy of the image.

Linear and cubic interpolation on a rectangular grid are separable: sampling along K, J and I in turn is the same as
sampling in space.  Each axis has a sparse matrix that maps the image's voxels to the samples wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .geometry import FloatArray, Geometry

Interpolator = Literal["nearest", "linear", "bspline"]
Array = npt.NDArray[Any]
PARALLEL_VOXELS = 1e-3
"""Axes are parallel if no sample lies further than this, in voxels, from where parallel axes would put it."""
NEGLIGIBLE = 1e-8
"""Weights below this share are dropped; a cubic spline's reach is endless, but falls by 3.7 a voxel."""
SPLINE_REACH = 20
"""Voxels after which a cubic spline's inverse filter has fallen to 1e-11."""
EDGE = 1e-6
"""How far, in voxels, a sample may lie outside the image's box by rounding."""


def axis_positions(source: Geometry, target: Geometry) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Return where the target's slices, rows and columns lie on the source's K, J and I axes, in voxels.

    Returns
    -------
    three arrays, shapes (K,), (J,), (I,) of the target, or None
        None if the axes are not parallel one by one (see :func:`medai.core.resample.reorient_array`).
    """
    matrix = source.ras_to_ijk @ target.ijk_to_ras
    lines = matrix[:3, :3].copy()
    reach = np.abs(lines) * (np.asarray(target.size) - 1)
    np.fill_diagonal(reach, 0.0)
    if reach.sum(axis=1).max() > PARALLEL_VOXELS or (np.abs(np.diag(lines)) < 1e-9).any():
        return None
    k, j, i = (matrix[axis, 3] + lines[axis, axis] * np.arange(target.size[axis]) for axis in (2, 1, 0))
    return k, j, i


@dataclass(frozen=True, eq=False)
class AxisSampler:
    """Sampling along one axis.

    Parameters
    ----------
    size : int
        Voxels along the axis.
    nearest : array of int, shape (samples,)
        The voxel whose cell holds each sample; the border voxel outside.
    inside : array of bool, shape (samples,)
        False where a sample lies outside the axis' box, half a voxel beyond the outer centres.
    matrix : scipy.sparse.csr_array, shape (samples, size), or None
        Weights of the voxels; None for ``nearest``.
    """

    size: int
    nearest: npt.NDArray[np.intp]
    inside: npt.NDArray[np.bool_]
    matrix: Any

    @property
    def samples(self) -> int:
        """How many samples are taken."""
        return len(self.nearest)

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range of voxels that samples ``start`` to ``stop`` are made of."""
        if self.matrix is None:
            used = self.nearest[start:stop]
        else:
            used = self.matrix.indices[self.matrix.indptr[start] : self.matrix.indptr[stop]]
        return (int(used.min()), int(used.max()) + 1) if len(used) else (0, 1)


def axis_sampler(
    positions: npt.ArrayLike, size: int, interpolator: Interpolator, sigma: float = 0.0, dtype: Any = np.float32
) -> AxisSampler:
    """Prepare sampling along one axis.

    Parameters
    ----------
    positions : array, shape (samples,)
        Where to sample, in voxels; 0 is the centre of the first.
    size : int
        Voxels along the axis.
    interpolator : {"nearest", "linear", "bspline"}
        ``linear`` takes the border voxel beyond the outer centres; ``bspline`` is the interpolating cubic B-spline of
        an image mirrored at its outer voxels' centres, as ITK's.  ``nearest`` rounds halves up, as ITK does.
    sigma : float
        Standard deviation in voxels of a Gaussian (borders mirrored, 4 sigma wide) applied before sampling; 0 for none.
        Without effect for ``nearest``.
    dtype : numpy dtype
        Of the weights.
    """
    where = np.asarray(positions, dtype=np.float64)
    inside = (where >= -0.5 - EDGE) & (where <= size - 0.5 + EDGE)
    # A tie must not hang on the last bit of the affine.
    nearest = np.clip(np.floor(where + 0.5 + EDGE), 0, size - 1).astype(np.intp)
    if interpolator == "nearest":
        return AxisSampler(size, nearest, inside, None)
    from scipy import sparse

    weights = _linear(where, size) if interpolator == "linear" else _bspline(where, size)
    if sigma > 0 and size > 1:
        weights = weights @ _gaussian(sigma, size)
    weights = sparse.csr_array(weights)
    weights.data[np.abs(weights.data) < NEGLIGIBLE] = 0.0
    weights.eliminate_zeros()
    weights.sort_indices()
    return AxisSampler(size, nearest, inside, weights.astype(dtype))


def sample_axis(array: Array, sampler: AxisSampler, axis: int) -> Array:
    """Sample an array along one of its axes.

    Parameters
    ----------
    array : array, shape (K, J, I)
        Never changed.
    sampler : AxisSampler
        For that axis.
    axis : int
        0, 1 or 2.

    Returns
    -------
    array
        With as many voxels along ``axis`` as the sampler has samples; of the weights' type, or the array's own for
        ``nearest``.
    """
    if sampler.matrix is None:
        return np.take(array, sampler.nearest, axis=axis)
    lines = np.moveaxis(array, axis, 0)
    flat = np.ascontiguousarray(lines, dtype=sampler.matrix.dtype).reshape(len(lines), -1)
    sampled = np.asarray(sampler.matrix @ flat).reshape(sampler.samples, *lines.shape[1:])
    return np.moveaxis(sampled, 0, axis)


def _linear(where: FloatArray, size: int) -> Any:
    from scipy import sparse

    inner = np.clip(where, 0, size - 1)
    # A sample on a voxel, but for rounding, takes that voxel alone: its neighbour may be NaN.
    whole = np.rint(inner)
    inner = np.where(np.abs(inner - whole) < EDGE, whole, inner)
    low = np.minimum(np.floor(inner), max(size - 2, 0)).astype(np.intp)
    share = inner - low
    rows = np.arange(len(where))
    parts = (np.concatenate([rows, rows]), np.concatenate([low, np.minimum(low + 1, size - 1)]))
    return sparse.csr_array((np.concatenate([1 - share, share]), parts), shape=(len(where), size))


def _bspline(where: FloatArray, size: int) -> Any:
    """Weights of the interpolating cubic B-spline of an image mirrored at its outer voxels' centres.

    The basis at the samples times the inverse filter, whose response to a single voxel is sqrt(3) z^|n| with
    z = sqrt(3) - 2 (Unser, IEEE Signal Processing Magazine 16, 22 (1999), eq. 12).
    """
    if size == 1:
        return _linear(where, size)
    first = np.floor(where).astype(np.intp) - 1
    index = first[:, None] + np.arange(4)
    distance = np.abs(where[:, None] - index)
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - np.minimum(distance, 2.0)) ** 3 / 6
    basis = _band(np.where(distance < 1, near, far), index, size)
    steps = np.arange(-SPLINE_REACH, SPLINE_REACH + 1)
    response = np.sqrt(3.0) * (np.sqrt(3.0) - 2.0) ** np.abs(steps)
    index = np.arange(size)[:, None] + steps
    return basis @ _band(np.broadcast_to(response, index.shape), index, size)


def _band(values: Array, index: Array, size: int) -> Any:
    """Return a sparse matrix with ``values`` at columns ``index``, mirrored into 0 to size - 1; shape (rows, size)."""
    from scipy import sparse

    folded = np.mod(index, 2 * size - 2)
    columns = np.minimum(folded, 2 * size - 2 - folded)
    rows = np.repeat(np.arange(len(index)), index.shape[1])
    return sparse.csr_array((values.reshape(-1), (rows, columns.reshape(-1))), shape=(len(index), size))


def _gaussian(sigma: float, size: int) -> Any:
    """Weights of a sampled Gaussian, mirrored about the edge of the last voxel as SciPy's ``reflect``."""
    from scipy import sparse

    radius = int(4.0 * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    rows = np.repeat(np.arange(size), len(steps))
    index = np.mod(np.arange(size)[:, None] + steps, 2 * size)
    columns = np.minimum(index, 2 * size - 1 - index).reshape(-1)
    return sparse.csr_array((np.tile(kernel, size), (rows, columns)), shape=(size, size))
