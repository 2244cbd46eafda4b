"""Where a structure meets the border of the image: what lies beyond it is not in the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry


def border_cm2(mask: npt.NDArray[Any], geometry: Geometry) -> float:
    """Return the area of the image's outer faces that a mask (K, J, I) covers, in cm2.

    An axis of one slice has no border.
    """
    i, j, k = geometry.spacing
    faces = (i * j, i * k, j * k)
    area = 0.0
    for axis, face in enumerate(faces):
        if mask.shape[axis] > 1:
            for end in (0, -1):
                area += int(np.count_nonzero(np.moveaxis(mask, axis, 0)[end])) * face
    return area / 100.0
