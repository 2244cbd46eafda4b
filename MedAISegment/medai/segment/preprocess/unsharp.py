"""Sharpening by an unsharp mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..colour import ColourSettings, by_component
from ..slabs import for_slabs
from ._base import Filter
from .gaussian import Gaussian

SLAB_VOXELS = 1 << 20


class UnsharpSettings(ColourSettings):
    """How much to sharpen, and what."""

    sigma_mm: float = Field(
        1.0,
        gt=0,
        le=100,
        title="Sigma",
        description="Standard deviation of the Gaussian: details smaller than this are raised.",
        json_schema_extra={"unit": "mm"},
    )
    amount: float = Field(1.0, gt=0, le=20, title="Amount", description="Factor of the details that are added.")
    threshold: float = Field(
        0.0,
        ge=0,
        title="Threshold",
        description="Details not greater than this, in the image's values, are left alone: noise is not raised.",
    )


class Unsharp(Filter):
    """Unsharp mask: the image plus ``amount`` times its difference from its Gaussian smoothing.

    ``skimage.filters.unsharp_mask`` with ``preserve_range``, but sigma is in mm along every axis and differences up to
    ``threshold`` are not added.  Borders, thin images and types are those of :class:`Gaussian`: the result is float32
    (float64 stays float64), is not clipped, and may exceed the image's range; only the luminance of a whole-number
    colour image goes back into its type.  Voxels whose neighbourhood holds NaN become NaN.
    """

    name = "unsharp"
    title = "Unsharp mask"
    group = "Enhance"
    requires = ("scipy",)
    weight = 3.0
    Settings = UnsharpSettings

    def apply(self, value: Volume, settings: UnsharpSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Sharpen a scalar or colour volume.

        Raises
        ------
        SettingsError
            If the Gaussian would be wider than the image along an axis.
        """

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            try:
                smooth = Gaussian().run(
                    value.replace(array=array),
                    {"sigma_mm": settings.sigma_mm},
                    progress=sub_progress(part, 0.0, 0.8),
                    cancel=cancel,
                )
            except SettingsError as error:
                message = error.message.replace("gaussian.", "unsharp.", 1)
                raise SettingsError(message, hint=error.hint) from None
            return _sharpened(array, smooth.array, settings, sub_progress(part, 0.8, 1.0), cancel)

        return value.replace(array=by_component(value.array, one, progress, settings.colour))


def _sharpened(
    array: npt.NDArray[Any],
    smooth: npt.NDArray[Any],
    settings: UnsharpSettings,
    progress: ProgressFn,
    cancel: CancelToken,
) -> npt.NDArray[Any]:
    result = _writable(smooth, array)
    # Flat, so that one large slice is shared among the cores too.
    source, flat = (array.reshape(-1), result.reshape(-1)) if array.flags.c_contiguous else (array, result)

    def part(start: int, stop: int) -> None:
        out, values = flat[start:stop], source[start:stop].astype(result.dtype)
        with np.errstate(all="ignore"):
            np.subtract(values, out, out=out)
            if settings.threshold > 0:
                out[np.abs(out) <= settings.threshold] = 0
            out *= settings.amount
            out += values

    slab = max(1, SLAB_VOXELS // source[0].size)
    for_slabs(len(source), part, slab=slab, progress=progress, cancel=cancel, message="Unsharp mask")
    return result


def _writable(smooth: npt.NDArray[Any], array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the smoothed image to be written into; only this step holds it, so that a third copy is not needed."""
    result = smooth.view()
    try:
        result.setflags(write=True)
    except ValueError:
        return smooth.copy()
    return smooth.copy() if np.may_share_memory(result, array) or not result.flags.c_contiguous else result
