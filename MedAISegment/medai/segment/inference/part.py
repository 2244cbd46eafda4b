"""Looking into a region only: the part of the prepared image around it, and what the labels keep of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry

from .prepared import Prepared
from .regions import Region, region_grid

CONTEXT = 0.25
"""Share of the window that is added around a region, so that its border has surroundings."""


def cut_to(prepared: Prepared, region: Region, window: tuple[int, int, int]) -> Prepared:
    """Return the part of a prepared image that holds a region and its surroundings.

    The values are those of the whole image: a region does not change the normalisation.

    Raises
    ------
    InputError
        If the region lies outside the image (or outside the body, if the image was cut to it).
    """
    margin = [round(CONTEXT * size) if size > 1 else 0 for size in window]
    where = _slices(prepared.grid, region, margin)
    start = tuple(s.start for s in where)
    shape = tuple(s.stop - s.start for s in where)
    array = np.ascontiguousarray(prepared.array[(slice(None), *where)])
    return Prepared(array, prepared.grid.crop((start[0], start[1], start[2]), (shape[0], shape[1], shape[2])))


def keep_inside(array: npt.NDArray[Any], grid: Geometry, region: Region) -> npt.NDArray[Any]:
    """Return a copy of an array on ``grid`` with 0 outside a region."""
    where = _slices(grid, region, [0, 0, 0])
    result = np.zeros_like(array)
    result[where] = array[where]
    return result


def _slices(grid: Geometry, region: Region, margin: list[int]) -> tuple[slice, slice, slice]:
    box = region_grid(grid, region)
    start = [round(float(v)) for v in grid.to_ijk(box.origin)][::-1]
    result = []
    for begin, length, extra, size in zip(start, box.shape, margin, grid.shape, strict=True):
        low, high = max(begin - extra, 0), min(begin + length + extra, size)
        if high <= low:
            raise InputError(
                "The region lies outside the image.",
                hint="Move the region, or check the image's orientation and origin.",
            )
        result.append(slice(low, high))
    return result[0], result[1], result[2]
