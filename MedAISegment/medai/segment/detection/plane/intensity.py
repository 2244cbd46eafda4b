"""Pixels as the network reads them: 0 to 1, grey or red, green and blue."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import UnsupportedInput
from medai.core.volume import Volume

from ...colour import LUMA
from ...preprocess._finite import require_finite
from .settings import ImageSettings


def unit_values(volume: Volume, settings: ImageSettings) -> npt.NDArray[np.float32]:
    """Return an image's values from 0 to 1.

    Returns
    -------
    array, shape (K, J, I) for grey or (K, J, I, 3) for rgb, float32
        Values outside the window or the percentiles are clipped; an image of one value becomes 0.

    Raises
    ------
    InputError
        If a voxel is NaN or infinite.
    UnsupportedInput
        If a voxel holds neither one value nor three, nor four with transparency.
    """
    require_finite(volume, "Mask R-CNN")
    array: npt.NDArray[Any] = volume.array
    if volume.components not in (1, 3, 4):
        raise UnsupportedInput(
            f"Mask R-CNN reads grey and RGB images, given {volume.components} components per voxel.",
            hint="Choose one component or frame.",
        )
    values = array.astype(np.float32)
    if values.ndim == 4:
        values = values[..., :3]  # transparency says nothing about what is seen
        if settings.colour == "grey":
            values = np.tensordot(values, np.asarray(LUMA, dtype=np.float32), axes=1)
    elif settings.colour == "rgb":
        values = np.repeat(values[..., None], 3, axis=-1)
    low, high = settings.window or tuple(float(v) for v in np.percentile(values, settings.percentiles))
    if high <= low:
        return np.zeros_like(values)
    scaled = (values - np.float32(low)) / np.float32(high - low)
    return np.asarray(np.clip(scaled, 0, 1), dtype=np.float32)
