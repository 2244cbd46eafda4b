"""A check for filters in which one strange voxel would spoil its whole surroundings."""

from __future__ import annotations

import numpy as np

from medai.core.errors import InputError
from medai.core.volume import Volume


def require_finite(value: Volume, what: str) -> None:
    """Raise :class:`InputError` if a voxel is NaN or infinite.

    Parameters
    ----------
    what : str
        The operation, for the message.
    """
    if value.array.dtype.kind != "f":
        return
    strange = sum(int(plane.size - np.isfinite(plane).sum()) for plane in value.array)
    if strange:
        raise InputError(
            f"{what} needs numbers in every voxel, given {strange} voxels that are NaN or infinite.",
            hint="Replace them first, for example by clipping.",
        )
