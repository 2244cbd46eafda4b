"""Labels on a finer grid without steps: each label is interpolated, and the largest share wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .geometry import FloatArray, Geometry
from .progress import CancelToken
from .separable import axis_positions, axis_sampler, sample_axis

Array = npt.NDArray[Any]
BLOCK_VOXELS = 1 << 22
"""Voxels of the result worked on at a time; extra memory is some four times this many float32."""
TIE = 1e-5
"""A label must beat the background by more than rounding."""


def smooth_labels(array: Array, source: Geometry, target: Geometry, cancel: CancelToken | None = None) -> Array:
    """Sample a label array on another grid by the largest linearly interpolated share.

    Each label, and the background, has at every voxel centre of ``target`` the share that linear interpolation of its
    mask gives; the largest wins, the lowest label at a tie.  Shares sum to 1, so two labels that touch still touch.
    A label too thin to win anywhere is put where the nearest voxel has it, so that no label is lost that nearest
    neighbour would keep.  Outside the source the result is 0.

    Parameters
    ----------
    array : array of whole numbers, shape (K, J, I)
        Labels; 0 is background.
    source, target : Geometry
        Their grid, and the grid wanted.
    cancel : CancelToken, optional
        Polled between blocks and labels.

    Returns
    -------
    array, shape of ``target``
        Of the same type.
    """
    from .resample import reorient_array, resample_array

    token = cancel or CancelToken()
    turned, grid = reorient_array(array, source, target.orientation)
    shape = target.shape
    result = np.zeros(shape, dtype=array.dtype)
    step = max(1, BLOCK_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], step):
        token.check()
        stop = min(start + step, shape[0])
        block = target.crop((start, 0, 0), (stop - start, shape[1], shape[2]))
        _fill_block(result[start:stop], turned, grid, block, token)
    lost = np.setdiff1d(_present(array), np.append(_present(result), 0))
    if len(lost):
        near = resample_array(array, source, target, "nearest")
        thin = np.isin(near, lost)
        result[thin] = near[thin]
    return result


def _present(array: Array) -> npt.NDArray[np.intp]:
    """Return the values that occur, in order."""
    found = np.zeros(int(array.max()) + 1, dtype=bool)
    for plane in array:
        found[plane] = True
    return np.flatnonzero(found)


def _fill_block(result: Array, array: Array, grid: Geometry, block: Geometry, token: CancelToken) -> None:
    """Write the labels of one block of the target into ``result``, which is all 0."""
    reach = grid.to_ijk(block.corners())[:, ::-1]
    size = np.asarray(grid.shape)
    low = np.clip(np.floor(reach.min(axis=0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 2, 0, size)
    if (low >= high).any():
        return
    part = array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    shape = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
    here = grid.crop((int(low[0]), int(low[1]), int(low[2])), shape)
    positions = axis_positions(here, block)
    best = np.zeros(block.shape, dtype=np.float32)
    total = np.zeros(block.shape, dtype=np.float32)
    for label in _present(part):
        if label == 0:
            continue
        token.check()
        found = _share(part == label, here, block, positions)
        if found is None:
            continue
        where, share = found
        total[where] += share
        better = share > best[where]
        np.copyto(best[where], share, where=better)
        np.copyto(result[where], label, where=better, casting="unsafe")
    result[best <= 1 - total + TIE] = 0
    if positions is not None:
        # Beyond the outer voxels' centres the border counts, but not beyond the image's box.
        whole = axis_positions(grid, block)
        assert whole is not None  # the same axes
        for axis, (where_axis, count) in enumerate(zip(whole, grid.shape, strict=True)):
            outside = (where_axis < -0.5 - 1e-6) | (where_axis > count - 0.5 + 1e-6)
            np.moveaxis(result, axis, 0)[outside] = 0


def _share(
    mask: npt.NDArray[np.bool_], grid: Geometry, block: Geometry, positions: tuple[FloatArray, ...] | None
) -> tuple[tuple[slice, ...], Array] | None:
    """Return (box of the block, the mask's share at its voxels); None if the mask reaches none of them."""
    from .resample import resample_array

    if positions is None:
        share = resample_array(mask.astype(np.float32), grid, block, "linear")
        return tuple(slice(0, n) for n in block.shape), share
    where = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        size = mask.shape[axis]
        # One voxel more on each side: there the share falls to 0.
        low, high = max(0, int(used[0]) - 1), min(size, int(used[-1]) + 2)
        index = np.clip(positions[axis], 0, size - 1)
        touched = np.flatnonzero((index > low - 1e-9) & (index < high - 1 + 1e-9))
        if not len(touched):
            return None
        first, last = int(touched[0]), int(touched[-1]) + 1
        where.append((first, last, low, high, index[first:last] - low))
    mask = mask[tuple(slice(low, high) for _, _, low, high, _ in where)]
    share = mask.astype(np.float32)
    for axis in sorted(range(3), key=lambda a: len(where[a][4]) / share.shape[a]):
        share = sample_axis(share, axis_sampler(where[axis][4], where[axis][3] - where[axis][2], "linear"), axis)
    return tuple(slice(first, last) for first, last, *_ in where), share
