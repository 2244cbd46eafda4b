"""Connected components, on every core, with an answer to Cancel."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from .runs import MaskOf, Runs, in_order, runs_of
from .slabs import for_slabs

Connectivity = Literal[6, 18, 26]
SLAB_VOXELS = 1 << 21
"""Voxels labelled in one go: some hundredths of a second."""
VOXELS_PER_RUN = 24
"""With fewer voxels per run than this (noise), runs take more time and memory than a label image."""
CHUNK = 1 << 17
"""Voxels looked up or counted in one go; NumPy makes a copy of 8 bytes each."""


def label_components(
    mask: npt.NDArray[Any],
    connectivity: Connectivity = 6,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the connected components of a mask, numbered in the order of their first voxels.

    The result equals ``scipy.ndimage.label``.  Runs of voxels that touch are joined as a graph; a mask of very many
    short runs, such as noise, is labelled by SciPy in slabs of slices, and components that touch across two slabs
    become one.

    Parameters
    ----------
    mask : array, shape (K, J, I)
        Everything that is not zero belongs to a component; never changed.
    connectivity : {6, 18, 26}
        Voxels are neighbours if they share a face, also an edge, or also a corner.
    progress, cancel
        See :mod:`medai.core.progress`.

    Returns
    -------
    labels : int32 array, shape (K, J, I)
        0 outside the mask, else 1, 2, ...
    sizes : int64 array
        ``sizes[n]`` is the number of voxels of component n; ``sizes[0]`` is 0, so that ``keep[labels]`` works for a
        condition on sizes and ``sizes.argmax()`` is the first of the largest.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    token = cancel or CancelToken()
    solid = mask if mask.dtype == np.bool_ else mask != 0
    found = component_runs(solid, connectivity, progress=sub_progress(progress, 0.0, 0.6), cancel=token)
    rest = sub_progress(progress, 0.6, 1.0)
    if found is None:
        return label_noise(solid, connectivity, progress=rest, cancel=token)
    runs, numbers, sizes = found
    return runs.paint(numbers, progress=rest, cancel=token), sizes


def component_runs(
    mask: npt.NDArray[np.bool_], connectivity: Connectivity, *, progress: ProgressFn, cancel: CancelToken
) -> tuple[Runs, npt.NDArray[np.int32], npt.NDArray[np.int64]] | None:
    """Return a mask's runs, each run's component and the components' sizes, or None if there are too many runs.

    Numbers and sizes are those of :func:`label_components`.
    """
    shape = (mask.shape[0], mask.shape[1], mask.shape[2])
    return component_runs_of(
        lambda start, stop: mask[start:stop],
        shape,
        connectivity,
        progress=progress,
        cancel=cancel,
        message="Components",
    )


def component_runs_of(
    mask_of: MaskOf,
    shape: tuple[int, int, int],
    connectivity: Connectivity,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> tuple[Runs, npt.NDArray[np.int32], npt.NDArray[np.int64]] | None:
    """Do what :func:`component_runs` does for a mask that is made slab by slab and never held as a whole."""
    runs = runs_of(mask_of, shape, progress=progress, cancel=cancel, message=message)
    if len(runs.starts) * VOXELS_PER_RUN > math.prod(shape) and len(runs.starts) > 1 << 12:
        return None
    numbers, sizes = runs.joined(connectivity, cancel)
    return runs, numbers, sizes


def label_noise(
    mask: npt.NDArray[np.bool_], connectivity: Connectivity, *, progress: ProgressFn, cancel: CancelToken
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Do what :func:`label_components` does, voxel by voxel; the way for masks of very many runs."""
    slab = max(1, SLAB_VOXELS // max(1, mask.shape[1] * mask.shape[2]))
    labels = np.empty(mask.shape, dtype=np.int32)

    def part(start: int, stop: int) -> npt.NDArray[np.int64]:
        return counts_of(labels[start:stop], _label(mask[start:stop], connectivity, labels[start:stop]))

    parts = for_slabs(
        len(mask), part, slab=slab, progress=sub_progress(progress, 0.0, 0.7), cancel=cancel, message="Components"
    )
    # Slab number p's component n is number offsets[p] + n of all.
    offsets = np.concatenate([[0], np.cumsum([len(sizes) - 1 for sizes in parts])]).astype(np.int64)
    groups = _joined(labels, slab, offsets, connectivity)
    numbers, sizes = in_order(groups, np.concatenate([np.zeros(0, dtype=np.int64), *(n[1:] for n in parts)]))

    def renumber(start: int, stop: int) -> None:
        first = start // slab
        table = np.concatenate([[0], numbers[offsets[first] : offsets[first + 1]]]).astype(np.int32)
        if not np.array_equal(table, np.arange(len(table))):
            looked_up(table, labels[start:stop], out=labels[start:stop])

    for_slabs(
        len(mask), renumber, slab=slab, progress=sub_progress(progress, 0.7, 1.0), cancel=cancel, message="Components"
    )
    return labels, sizes


def looked_up(
    table: npt.NDArray[Any], labels: npt.NDArray[Any], out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Return ``table[labels]`` without NumPy's copy of the labels in 8 bytes each.

    Parameters
    ----------
    table : array, shape (largest label + 1,)
    labels : array of int
        Contiguous.
    out : array, optional
        Where to put it, contiguous too; may be ``labels``.
    """
    result = np.empty(labels.shape, dtype=table.dtype) if out is None else out
    source, target = labels.reshape(-1), result.reshape(-1)
    for start in range(0, source.size, CHUNK):
        np.take(table, source[start : start + CHUNK], out=target[start : start + CHUNK], mode="clip")
    return result


def counts_of(
    labels: npt.NDArray[np.int32], count: int, where: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """Return how many voxels have each label from 0 to ``count``, of all or of those ``where`` it is True.

    Parameters
    ----------
    labels : int32 array
        Contiguous; taken in pieces, because :func:`numpy.bincount` makes a copy of 8 bytes a voxel.
    where : bool array, optional
        Of the same shape.
    """
    total = np.zeros(count + 1, dtype=np.int64)
    flat, chosen = labels.reshape(-1), None if where is None else where.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        piece = flat[start : start + CHUNK]
        found = np.bincount(piece if chosen is None else piece[chosen[start : start + CHUNK]])
        total[: len(found)] += found
    return total


def _joined(
    labels: npt.NDArray[np.int32], slab: int, offsets: npt.NDArray[Any], connectivity: int
) -> npt.NDArray[np.int64]:
    """Return, for each slab's component in turn, which group of components that touch it belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    total = int(offsets[-1])
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for seam in range(slab, len(labels), slab):
        number = seam // slab
        above, below = labels[seam - 1], labels[seam]
        for dj, di in _seam_steps(connectivity):
            a, b = _shifted(above, dj, di), _shifted(below, -dj, -di)
            both = (a > 0) & (b > 0)
            if both.any():
                keys = np.unique(a[both].astype(np.int64) * (total + 1) + b[both])
                pairs.append(
                    np.stack([keys // (total + 1) + offsets[number - 1], keys % (total + 1) + offsets[number]]) - 1
                )
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(total, total))
    _, groups = connected_components(graph, directed=False)
    return np.asarray(groups, dtype=np.int64)


def _seam_steps(connectivity: int) -> list[tuple[int, int]]:
    # Neighbours in the next slice: straight below, below and beside (an edge shared), below a diagonal (a corner).
    reach = {6: 0, 18: 1, 26: 2}[connectivity]
    return [(dj, di) for dj in (-1, 0, 1) for di in (-1, 0, 1) if abs(dj) + abs(di) <= reach]


def _shifted(plane: npt.NDArray[Any], dj: int, di: int) -> npt.NDArray[Any]:
    """Return the part of a plane whose neighbour at (+dj, +di) exists."""
    height, width = plane.shape
    return plane[max(0, -dj) : height - max(0, dj), max(0, -di) : width - max(0, di)]


def _label(mask: npt.NDArray[np.bool_], connectivity: int, out: npt.NDArray[np.int32]) -> int:
    """Label a slab into ``out`` and return the number of components."""
    from scipy.ndimage import generate_binary_structure, label

    structure = generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    return int(label(mask, structure, output=out))
