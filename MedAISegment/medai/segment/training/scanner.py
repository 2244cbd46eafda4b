"""What a scanner does along one axis: blur over a slice, sample, and be sampled again by the model's grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))


def acquire_matrix(count: int, step: float, phase: float) -> tuple[Matrix, npt.NDArray[np.float64]]:
    """Return the matrix from ``count`` fine voxels to slices of ``step`` fine voxels, and the slices' positions.

    A slice's profile is a Gaussian with a full width at half maximum of 0.85 slice thicknesses (no gap, no overlap);
    slices no thicker than a fine voxel are taken as they are.

    Parameters
    ----------
    phase : float
        Where in the first slice's thickness the first fine voxel lies, 0 to 1.
    """
    places = np.arange(phase * step, count - 0.5, step)
    if step <= 1.0:
        return np.eye(count, dtype=np.float32), np.arange(count, dtype=np.float64)
    distance = np.arange(count)[None, :] - places[:, None]
    sigma = max(0.85 * step / FWHM, 0.3)
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32), places


def sample_matrix(places: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]) -> Matrix:
    """Return the matrix of linear interpolation from slices at ``places`` to ``targets``; the ends are held."""
    if len(places) == 1:
        return np.ones((len(targets), 1), dtype=np.float32)
    at = np.clip(np.interp(targets, places, np.arange(len(places))), 0, len(places) - 1)
    low = np.minimum(at.astype(np.int64), len(places) - 2)
    matrix = np.zeros((len(targets), len(places)), dtype=np.float32)
    rows = np.arange(len(targets))
    matrix[rows, low] = 1.0 - (at - low)
    matrix[rows, low + 1] += at - low
    return matrix
