"""Labels that like to have neighbours of their own kind: a Markov random field on the six nearest voxels.

The energy is the sum over voxels of a cost that depends on the voxel's value and label, plus ``smoothness`` times the
sum over pairs of neighbours with different labels of a weight (Potts model).  Iterated conditional modes (Besag,
J Royal Stat Soc B 48, 259 (1986)) lowers it from the labels without neighbours; white and black voxels of a chess
board take turns, so that a whole colour is done at once and the result depends on no order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, no_progress

from ..slabs import for_slabs

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
SLAB_VOXELS = 1 << 19
ENOUGH = 1e-4
"""The sweeps end when fewer than this share of the voxels change."""

Refit = Callable[[Floats], Floats]
"""From how many voxels of each bin belong to each class (bins, k) to new costs (bins, k)."""


def neighbour_weights(spacing_kji: tuple[float, ...]) -> tuple[float, float, float]:
    """Return the weight of a neighbour along K, J and I: one over its distance, with mean 1."""
    near = 1.0 / np.asarray(spacing_kji, dtype=np.float64)
    k, j, i = near / near.mean()
    return float(k), float(j), float(i)


def smooth_labels(
    bins: Array,
    labels: npt.NDArray[np.uint8],
    costs: Floats,
    smoothness: float,
    weights: tuple[float, float, float],
    *,
    refit: Refit | None = None,
    sweeps: int = 20,
    progress: ProgressFn = no_progress,
    cancel: CancelToken,
    message: str = "",
) -> npt.NDArray[np.uint8]:
    """Lower the energy of labels 1 to k by iterated conditional modes.

    Parameters
    ----------
    bins : array of whole numbers, shape (K, J, I)
        Row of ``costs`` for each voxel.
    labels : array of uint8, shape (K, J, I)
        Where to start; voxels of label 0 stay so and are nobody's neighbour.
    costs : array, shape (bins, k)
        Cost of giving a voxel of a bin each label: minus the log-likelihood.
    smoothness : float
        Cost of two different neighbours at mean distance.
    weights : tuple of float
        See :func:`neighbour_weights`.
    refit : callable, optional
        Called after each sweep for new costs: hidden Markov random field expectation-maximisation (Zhang, Brady and
        Smith, IEEE Trans. Medical Imaging 20, 45 (2001)), each voxel counting for each class by its probability given
        its value and its neighbours.
    sweeps : int
        Most sweeps; fewer when almost nothing changes any more.

    Returns
    -------
    array of uint8, shape (K, J, I)
    """
    padded = np.pad(labels, 1)
    inside = int(np.count_nonzero(labels))
    table = np.ascontiguousarray(costs.T, dtype=np.float32)
    slab = max(2, SLAB_VOXELS // max(1, labels[0].size) // 2 * 2)
    for sweep in range(sweeps):
        changed, members = 0, np.zeros(costs.shape)
        for colour in (0, 1):

            def part(start: int, stop: int, colour: int = colour, table: Array = table) -> tuple[int, Floats | None]:
                return _sweep(bins, padded, table, smoothness, weights, colour, start, stop, refit is not None)

            found = for_slabs(len(labels), part, slab=slab, progress=no_progress, cancel=cancel)
            changed += sum(count for count, _ in found)
            if refit is not None:
                members += sum(part_members for _, part_members in found)
            progress((2 * sweep + colour + 1) / (2 * sweeps), message)
        if changed <= ENOUGH * inside:
            break
        if refit is not None:
            table = np.ascontiguousarray(refit(members).T, dtype=np.float32)
    return np.ascontiguousarray(padded[1:-1, 1:-1, 1:-1])


def _sweep(
    bins: Array, padded: Array, table: Array, smoothness: float, weights: tuple[float, float, float], colour: int,
    start: int, stop: int, count: bool,
) -> tuple[int, Floats | None]:  # fmt: skip
    """Give the voxels of one colour in some slices their best label; return how many changed, and soft counts."""
    changed = 0
    members = np.zeros((table.shape[1], len(table))) if count else None
    for k in (start, start + 1):
        for j in (0, 1):
            i = (colour + k + j) % 2
            place = (slice(k, stop, 2), slice(j, None, 2), slice(i, None, 2))
            own = padded[1:-1, 1:-1, 1:-1][place]
            if not own.size:
                continue
            known = own > 0
            if not known.any():
                continue
            index = bins[place].astype(np.intp)
            energy = np.empty((len(table), *own.shape), dtype=np.float32)
            around = [
                (padded[_moved(axis, -1)][place], padded[_moved(axis, 1)][place], smoothness * weights[axis])
                for axis in range(3)
            ]
            for label in range(len(table)):
                np.take(table[label], index, out=energy[label])
                for before, behind, weight in around:
                    same = (before == label + 1).view(np.uint8) + (behind == label + 1).view(np.uint8)
                    energy[label] -= same * np.float32(weight)
            best = (energy.argmin(axis=0) + 1).astype(np.uint8)
            best *= known
            changed += int(np.count_nonzero(best != own))
            own[...] = best
            if members is not None:
                flat, soft = index[known], energy[:, known]
                soft = np.exp(soft.min(axis=0) - soft)
                soft /= soft.sum(axis=0)
                for label in range(len(table)):
                    members[:, label] += np.bincount(flat, soft[label], minlength=len(members))
    return changed, members


def _moved(axis: int, step: int) -> tuple[slice, slice, slice]:
    """Return where the neighbours one step along an axis are in the padded array."""
    found = [slice(1, -1)] * 3
    found[axis] = slice(1 + step, -1 + step or None)
    return found[0], found[1], found[2]
