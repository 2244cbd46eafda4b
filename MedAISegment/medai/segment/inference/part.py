"""Looking into a region only: the part of the prepared image around it, and what the labels keep of it."""

from __future__ import annotations

import numpy as np

from medai.core.errors import InputError
from medai.core.geometry import Geometry

from ..manifest import Manifest
from .prepared import Prepared
from .regions import Region, region_grid

CONTEXT = 0.25
"""Share of the window that is added around a region, so that its border has surroundings."""


def cut_to(prepared: Prepared, region: Region, manifest: Manifest) -> Prepared:
    """Return the part of a prepared image that holds a region and its surroundings.

    The values are those of the whole image: a region does not change the normalisation.

    Raises
    ------
    InputError
        If the region lies outside the image (or outside the body, if the image was cut to it).
    """
    # At least one voxel, so that labels between voxels at the region's border are interpolated; and the neighbours that
    # a 2.5D network reads.
    margin = [max(1, round(CONTEXT * size)) for size in manifest.window]
    margin[0] = max(margin[0], manifest.inference.context + 1)
    where = _slices(prepared.grid, region, margin)
    start = tuple(s.start for s in where)
    shape = tuple(s.stop - s.start for s in where)
    array = np.ascontiguousarray(prepared.array[(slice(None), *where)])
    return Prepared(array, prepared.grid.crop((start[0], start[1], start[2]), (shape[0], shape[1], shape[2])))


def inside_of(grid: Geometry, region: Region) -> tuple[slice, slice, slice]:
    """Return the part of a grid (KJI) that a region covers.

    Raises
    ------
    InputError
        If the region lies outside.
    """
    return _slices(grid, region, [0, 0, 0])


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
