"""Colour images: each channel alone, or the luminance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import UnsupportedInput
from medai.core.progress import ProgressFn, sub_progress
from medai.core.settings import Settings

Array = npt.NDArray[Any]
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luminance (Recommendation ITU-R BT.601)."""


class ColourSettings(Settings):
    """Base of the settings of filters that change intensities."""

    colour: Literal["channel", "luminance"] = Field(
        "channel",
        title="Colour",
        description="Of an RGB image: filter each channel alone, or the luminance, which keeps the hue.",
    )


def by_component(
    array: Array,
    function: Callable[[Array, ProgressFn], Array],
    progress: ProgressFn,
    colour: Literal["channel", "luminance"] = "channel",
) -> Array:
    """Run ``function(scalar array, progress) -> scalar array`` on a scalar array, each component, or the luminance.

    With ``luminance``, the change of the luminance is added to red, green and blue; whole-number types are rounded and
    clipped to their range.

    Parameters
    ----------
    array : array, shape (K, J, I) or (K, J, I, components)
        Never changed.

    Raises
    ------
    UnsupportedInput
        If the luminance of an image without exactly three components is asked for.
    """
    if array.ndim == 3:
        return function(array, progress)
    count = array.shape[3]
    if colour == "channel":
        joined: Array | None = None
        for n in range(count):
            part = sub_progress(progress, n / count, (n + 1) / count)
            found = function(np.ascontiguousarray(array[..., n]), part)
            if joined is None:
                joined = np.empty((*found.shape, count), found.dtype)
            joined[..., n] = found
        assert joined is not None  # an image has at least one component
        return joined
    if count != 3:
        raise UnsupportedInput(f"The luminance needs red, green and blue, given {count} components per voxel.")
    luma: Array = np.tensordot(array, np.asarray(LUMA, dtype=np.float32), axes=1)
    if array.dtype.kind in "iu":
        # Filters that look at a whole-number range must see the image's own.
        luma = np.rint(luma).astype(array.dtype)
    change = function(luma, progress).astype(np.float32) - luma
    result: Array = array + change[..., None]
    if array.dtype.kind in "iu":
        info = np.iinfo(array.dtype)
        result = np.clip(np.rint(result), info.min, info.max)
    return result.astype(array.dtype, copy=False)
