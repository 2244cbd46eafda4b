"""Boxes in which a network runs, and moving values between the image's grid and the box's grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.resample import reorient_array, resample_array
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..manifest import Side
from .prepare import FloatImage, PrepareSettings, normalise

ALIGNED_VOXELS = 1e-3


class Region(Settings):
    """A box given by its centre and size, axes along the image's own axes nearest to R, A, S."""

    side: Side = Field("", description="Side of the patient; empty if the model has none.")
    centre_ras: tuple[float, float, float] = Field(description="Centre of the box in RAS mm.")
    size_mm: tuple[float, float, float] = Field(description="Size along R, A, S in mm.")


@dataclass(frozen=True)
class Box:
    """A region on the model's grid.

    Parameters
    ----------
    side : str
        ``left``, ``right`` or empty.
    grid : Geometry
        The box in the model's orientation and spacing; it may reach outside the image.
    image : array of float32, shape (K, J, I)
        Normalised values; 0 outside the image.
    inside : array of bool, shape (K, J, I)
        True where the image has data.
    """

    side: Side
    grid: Geometry
    image: FloatImage
    inside: npt.NDArray[np.bool_]


def cut(volume: Volume, grid: Geometry, region: Region | None, settings: PrepareSettings) -> Box:
    """Sample a region of an image on the model's grid.

    Parameters
    ----------
    volume : Volume
        The image in its own grid.
    grid : Geometry
        The whole image in the model's orientation and spacing (:func:`~medai.segment.inference.prepare.model_grid`).
    region : Region, optional
        None for the whole image.

    Raises
    ------
    InputError
        If the region lies outside the image, or its values cannot be normalised.
    """
    box = grid if region is None else region_grid(grid, region)
    values, inside = _sample(volume, box, settings)
    if not inside.any():
        raise InputError(
            "The region lies outside the image.", hint="Move the region, or check the image's orientation and origin."
        )
    image = np.zeros(box.shape, dtype=np.float32)
    image[inside] = normalise(values[inside], settings)
    return Box(region.side if region else "", box, image, inside)


def region_grid(grid: Geometry, region: Region) -> Geometry:
    """Return the part of the model's (R, A, S ordered or other) grid that a region covers; it may reach outside."""
    if not all(np.isfinite(s) and 0 < s <= 2000 for s in region.size_mm):
        raise InputError(f"A region's size must lie between 0 and 2000 mm, given {region.size_mm}.")
    ras_axis = [axis for axis, _ in grid.axis_map]
    size = [max(1, round(region.size_mm[ras_axis[c]] / grid.spacing[c])) for c in range(3)]
    centre = grid.to_ijk(region.centre_ras)
    start = [round(float(centre[c]) - (size[c] - 1) / 2) for c in range(3)]
    return grid.crop((start[2], start[1], start[0]), (size[2], size[1], size[0]))


Where = tuple[slice, slice, slice]


def paste(scores: FloatImage, box: Geometry, target: Geometry) -> tuple[npt.NDArray[Any], Where]:
    """Bring class scores from a box back to the image's grid.

    Parameters
    ----------
    scores : array of float32, shape (classes, K, J, I)
        On ``box``.
    box, target : Geometry
        The model's box and the image's grid.

    Returns
    -------
    labels : array of int, shape (k, j, i)
        Arg-max class of each voxel in the part of ``target`` that the box covers.
    where : tuple of slice
        That part, in KJI order.
    """
    part, where = _covered(box, target)
    if part is None:
        return np.zeros(tuple(int(s.stop - s.start) for s in where), dtype=np.int64), where
    background_outside = []
    for index, score in enumerate(scores):
        fill = 1.0 if index == 0 else 0.0
        background_outside.append(_onto(score, box, part, fill))
    return np.argmax(np.stack(background_outside), axis=0), where


def paste_map(values: FloatImage, box: Geometry, target: Geometry) -> tuple[npt.NDArray[Any], Where]:
    """Bring a map (K, J, I) from a box back to the image's grid, as :func:`paste`; NaN where the box does not reach."""
    part, where = _covered(box, target)
    if part is None:
        return np.full(tuple(int(s.stop - s.start) for s in where), np.nan, dtype=np.float32), where
    return _onto(values, box, part, np.nan), where


def _covered(box: Geometry, target: Geometry) -> tuple[Geometry | None, Where]:
    """Return the part of ``target`` that a box covers, None if there is none, and where it is."""
    corners = target.to_ijk(_outer_corners(box))
    low = np.maximum(np.ceil(corners.min(axis=0) - 1e-6).astype(int), 0)
    high = np.minimum(np.floor(corners.max(axis=0) + 1e-6).astype(int) + 1, target.size)
    high = np.maximum(high, low)
    where = (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))
    if (high == low).any():
        return None, where
    k, j, i = (int(s.stop - s.start) for s in where)
    return target.crop((int(low[2]), int(low[1]), int(low[0])), (k, j, i)), where


def _outer_corners(grid: Geometry) -> npt.NDArray[np.float64]:
    i, j, k = (n - 0.5 for n in grid.size)
    return grid.to_ras([(a, b, c) for c in (-0.5, k) for b in (-0.5, j) for a in (-0.5, i)])


def _onto(array: FloatImage, source: Geometry, target: Geometry, fill: float) -> npt.NDArray[Any]:
    turned, grid = reorient_array(array, source, target.orientation)
    offset = _offset(grid, target)
    if offset is None:
        return resample_array(np.ascontiguousarray(array), source, target, "linear", fill)
    return _window(turned, offset, target.shape, fill)


def _sample(volume: Volume, box: Geometry, settings: PrepareSettings) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    turned, grid = reorient_array(volume.array, volume.geometry, settings.orientation)
    offset = _offset(grid, box)
    if offset is not None:
        present = _window(np.broadcast_to(np.True_, turned.shape), offset, box.shape, False)
        return _window(turned, offset, box.shape, 0).astype(np.float32), present
    ones = np.ones(volume.geometry.shape, dtype=np.uint8)
    present = resample_array(ones, volume.geometry, box, "nearest") > 0
    return resample_array(volume.array.astype(np.float32), volume.geometry, box, "linear"), present


def _offset(grid: Geometry, box: Geometry) -> tuple[int, int, int] | None:
    """Start of ``box`` in ``grid`` as whole voxels (KJI) if the two share axes and voxel positions."""
    if not np.allclose(grid.ijk_to_ras[:3, :3], box.ijk_to_ras[:3, :3], rtol=0, atol=1e-6):
        return None
    start = grid.to_ijk(box.origin)
    whole = np.rint(start)
    if np.abs(start - whole).max() > ALIGNED_VOXELS:
        return None
    return int(whole[2]), int(whole[1]), int(whole[0])


def _window(
    array: npt.NDArray[Any], start: tuple[int, int, int], shape: tuple[int, ...], fill: Any
) -> npt.NDArray[Any]:
    result = np.full(shape, fill, dtype=array.dtype)
    source, target = [], []
    for begin, length, size in zip(start, shape, array.shape, strict=True):
        low, high = max(begin, 0), min(begin + length, size)
        if high <= low:
            return result
        source.append(slice(low, high))
        target.append(slice(low - begin, high - begin))
    result[tuple(target)] = array[tuple(source)]
    return result
