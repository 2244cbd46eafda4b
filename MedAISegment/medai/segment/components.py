"""Connected components, in slabs on every core, with an answer to Cancel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from .slabs import for_slabs

Connectivity = Literal[6, 18, 26]
SLAB_VOXELS = 1 << 23
"""Voxels labelled in one go: about 0.1 s of work."""


def label_components(
    mask: npt.NDArray[Any],
    connectivity: Connectivity = 6,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the connected components of a mask, numbered in the order of their first voxels.

    The result equals ``scipy.ndimage.label``, which does the work on slabs of slices on several threads; components
    that touch across two slabs become one afterwards.

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
    plane = max(1, solid.shape[1] * solid.shape[2])
    slab = max(1, SLAB_VOXELS // plane)
    labels = np.empty(solid.shape, dtype=np.int32)

    def part(start: int, stop: int) -> npt.NDArray[np.int64]:
        count = _label(solid[start:stop], connectivity, labels[start:stop])
        return np.bincount(labels[start:stop].reshape(-1), minlength=count + 1)

    parts = for_slabs(
        len(solid), part, slab=slab, progress=sub_progress(progress, 0.0, 0.7), cancel=token, message="Components"
    )
    if len(parts) <= 1:
        sizes = parts[0].astype(np.int64) if parts else np.zeros(1, dtype=np.int64)
        sizes[0] = 0
        progress(1.0, "Components")
        return labels, sizes
    # Slab number p's component n is number offsets[p] + n of all.
    offsets = np.concatenate([[0], np.cumsum([len(sizes) - 1 for sizes in parts])])
    numbers = _joined(labels, slab, offsets, connectivity)

    def renumber(start: int, stop: int) -> None:
        first = start // slab
        table = np.concatenate([[0], numbers[offsets[first] : offsets[first + 1]]]).astype(np.int32)
        np.take(table, labels[start:stop], out=labels[start:stop], mode="clip")

    for_slabs(
        len(solid), renumber, slab=slab, progress=sub_progress(progress, 0.7, 1.0), cancel=token, message="Components"
    )
    voxels = np.concatenate([sizes[1:] for sizes in parts])
    sizes = np.zeros(int(numbers.max(initial=0)) + 1, dtype=np.int64)
    np.add.at(sizes, numbers, voxels)
    return labels, sizes


def _joined(
    labels: npt.NDArray[np.int32], slab: int, offsets: npt.NDArray[Any], connectivity: int
) -> npt.NDArray[np.int64]:
    """Return, for each slab's component in turn, the number of the component of the whole that it belongs to."""
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
    # Slabs are numbered in the order of first voxels, so a group's smallest member decides its place.
    _, where, inverse = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(where), dtype=np.int64)
    rank[np.argsort(where, kind="stable")] = np.arange(1, len(where) + 1)
    return np.asarray(rank[inverse.reshape(-1)], dtype=np.int64)


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
