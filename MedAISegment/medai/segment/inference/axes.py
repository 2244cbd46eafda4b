"""Where the voxels of an image lie on a model's grid, axis by axis, and in which blocks they are worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import GeometryError
from medai.core.geometry import Geometry
from medai.core.separable import EDGE, axis_positions

from .prepare import PrepareSettings
from .sampling import separate_axis, spacings

Array = npt.NDArray[Any]
STEP = 2.0**-20
"""Positions are rounded to this share of a voxel: how the image is stored must not show in the last bit."""


@dataclass(frozen=True, eq=False)
class Axis:
    """The image's voxels along one axis of the model's grid, sorted upwards.

    Parameters
    ----------
    size : int
        Voxels of the model's grid.
    start, stop : int
        The image's voxels that lie inside the model's box, half a voxel beyond the outer centres.
    low : array of int, shape (stop - start,)
        The model's voxel at or below each of them.
    share : array of float32, shape (stop - start,)
        Weight of the voxel above; 1 minus it is the weight of ``low``.
    """

    size: int
    start: int
    stop: int
    low: npt.NDArray[np.intp]
    share: npt.NDArray[np.float32]

    @property
    def reach(self) -> int:
        """1 if a voxel of the image may need two of the model's, 0 if each needs one."""
        return int(bool(self.share.any()))

    @property
    def used(self) -> tuple[int, int]:
        """Range of the model's voxels that are needed."""
        if self.stop == self.start:
            return 0, 0
        return int(self.low[0]), int(self.low[-1] + (self.share[-1] > 0)) + 1

    @property
    def same(self) -> bool:
        """True if no voxel is interpolated and none is left out or repeated."""
        return not self.reach and bool((np.diff(self.low) == 1).all())


@dataclass(frozen=True, eq=False)
class Blocks:
    """One axis cut into blocks of the model's voxels; a block's window also holds the voxels that it shares.

    Parameters
    ----------
    first : int
        First of the model's voxels in use; ``starts`` and ``owns`` count from it.
    voxels : int
        How many are in use.
    window : int
        Voxels in each window.
    step : int
        Voxels from one window to the next; the last one may be moved back.
    starts : array of int, shape (blocks,)
        Where each window starts.
    owns : array of int, shape (blocks + 1,)
        Block n owns the voxels ``owns[n]`` to ``owns[n + 1]``.
    targets : array of int, shape (blocks + 1,)
        Block n owns the image's voxels ``targets[n]`` to ``targets[n + 1]``, counted from the axis' ``start``.
    begin, count : array of int, shape (blocks,)
        The image's voxels that a block computes: its own, or those of its whole window where the grids coincide.
    weights : array of float32, shape (blocks, window, most voxels in a block)
        What each voxel of the window adds to each of the image's.
    same : bool
        The window's voxels are the image's: nothing is interpolated.
    """

    first: int
    voxels: int
    window: int
    step: int
    starts: npt.NDArray[np.intp]
    owns: npt.NDArray[np.intp]
    targets: npt.NDArray[np.intp]
    begin: npt.NDArray[np.intp]
    count: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float32]
    same: bool

    def __len__(self) -> int:
        return len(self.starts)


def blocks_along(axis: Axis, edge: int) -> Blocks:
    """Cut an axis into blocks that own ``edge`` voxels of the model's grid."""
    first, stop = axis.used
    voxels = stop - first
    window = min(edge + axis.reach, voxels)
    owns = np.append(np.arange(0, voxels, edge), voxels).astype(np.intp)
    starts = np.minimum(owns[:-1], voxels - window)
    low = axis.low - first
    targets = np.searchsorted(low, owns).astype(np.intp)
    if axis.same:
        begin, count = starts, np.full(len(starts), window, dtype=np.intp)
    else:
        begin, count = targets[:-1], np.diff(targets)
    weights = np.zeros((len(starts), window, int(count.max(initial=0))), dtype=np.float32)
    for number, start in enumerate(starts):
        rows = np.arange(begin[number], begin[number] + count[number])
        weights[number, :, : count[number]] = weights_of(low[rows] - start, axis.share[rows], window)
    return Blocks(first, voxels, window, edge, starts, owns, targets, begin, count, weights, axis.same)


def weights_of(low: npt.NDArray[np.intp], share: npt.NDArray[np.float32], window: int) -> npt.NDArray[np.float32]:
    """Return the weights, shape (window, samples), of linear interpolation at ``low + share``."""
    weights = np.zeros((window, len(low)), dtype=np.float32)
    samples = np.arange(len(low))
    weights[low, samples] = 1 - share
    above = share > 0
    weights[low[above] + 1, samples[above]] = share[above]
    return weights


def in_grid_order(array: Array, geometry: Geometry, grid: Geometry) -> tuple[Array, Geometry]:
    """Return a view of an array, and its grid, with axes swapped and flipped until they point as another grid's.

    Raises
    ------
    GeometryError
        If the axes are not parallel to the other grid's.
    """
    lines = np.abs((grid.ras_to_ijk @ geometry.ijk_to_ras)[:3, :3]) * np.asarray(grid.spacing)[:, None]
    nearest = [int(n) for n in np.argmax(lines, axis=1)]
    if sorted(nearest) != [0, 1, 2]:
        raise _not_parallel()
    axes = (2 - nearest[2], 2 - nearest[1], 2 - nearest[0])
    turned, place = array.transpose(axes), geometry.transpose(axes)
    signs = np.diag((grid.ras_to_ijk @ place.ijk_to_ras)[:3, :3])
    for axis in range(3):
        if signs[2 - axis] < 0:
            turned, place = np.flip(turned, axis), place.flip(axis)
    return turned, place


def plan_axes(grid: Geometry, target: Geometry, settings: PrepareSettings) -> tuple[Axis, Axis, Axis]:
    """Return where a target's voxels lie on a model's grid, for K, J and I.

    Samples between the outer centre and the box's edge take the border voxel's value, as scikit-image's ``resize``
    with ``mode="edge"`` (so nnU-Net) does.  If ``settings.anisotropy`` is passed, the coarsest axis is sampled by
    nearest neighbour (see :func:`nearest_axis`).

    Parameters
    ----------
    grid : Geometry
        The model's grid.
    target : Geometry
        The image's grid, in the model's axis order (:func:`in_grid_order`).

    Raises
    ------
    GeometryError
        If the axes are not parallel.
    """
    positions = axis_positions(grid, target)
    if positions is None:
        raise _not_parallel()
    nearest = nearest_axis(target, settings)
    k, j, i = (
        _axis(where, size, number == nearest)
        for number, (where, size) in enumerate(zip(positions, grid.shape, strict=True))
    )
    return k, j, i


def nearest_axis(target: Geometry, settings: PrepareSettings) -> int | None:
    """Return the array axis (0, 1, 2 = K, J, I) that is sampled by nearest neighbour, or None.

    As nnU-Net decides for probabilities (``determine_do_sep_z_and_axis``): if the largest spacing of the model over
    its smallest is above the limit, the model's coarsest axis; else the same for the image; none if two axes are
    equally coarse.

    Parameters
    ----------
    target : Geometry
        The image's grid, in the model's axis order.
    """
    image, model = spacings(target.spacing_kji, settings)
    return separate_axis(model, image, settings.anisotropy)


def _axis(positions: npt.NDArray[np.float64], size: int, nearest: bool) -> Axis:
    where = np.round(positions / STEP) * STEP
    inside = np.flatnonzero((where >= -0.5 - EDGE) & (where <= size - 0.5 + EDGE))
    start, stop = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    inner = np.clip(where[start:stop], 0, size - 1)
    if nearest:
        # Halves go up, as in SciPy's splines of order 0.
        inner = np.minimum(np.floor(inner + 0.5 + EDGE), size - 1)
    whole = np.rint(inner)
    inner = np.where(np.abs(inner - whole) < 2 * EDGE, whole, inner)
    low = np.floor(inner)
    return Axis(size, start, stop, low.astype(np.intp), (inner - low).astype(np.float32))


def _not_parallel() -> GeometryError:
    return GeometryError(
        "The axes of the model's grid are not parallel to the image's.",
        hint="Prepare the image by axis swaps and flips only.",
    )
