"""The part of an image that a contour can reach."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry

Box = tuple[slice, slice, slice]


def box_around(mask: npt.NDArray[np.bool_], geometry: Geometry, margin_mm: float) -> Box:
    """Return the bounding box of a mask, widened by a margin on each side and cut off at the image's border.

    Raises
    ------
    InputError
        If the mask is empty.
    """
    box: list[slice] = []
    for axis, spacing in enumerate(geometry.spacing_kji):
        others = tuple(a for a in range(3) if a != axis)
        places = np.flatnonzero(mask.any(axis=others))
        if not len(places):
            raise InputError("There is no voxel to start from: all segments are empty.", hint="Check the steps before.")
        more = int(np.ceil(min(margin_mm / spacing, mask.shape[axis])))
        box.append(slice(max(0, int(places[0]) - more), min(mask.shape[axis], int(places[-1]) + 1 + more)))
    return box[0], box[1], box[2]
