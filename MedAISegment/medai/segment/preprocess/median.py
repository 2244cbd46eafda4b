"""Median filter over a box of voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.sitk import to_array, to_sitk
from medai.core.volume import Volume

from ._base import Filter

if TYPE_CHECKING:
    import SimpleITK

SLAB = 16
"""Slices a call: progress waits for one slab; cancelling stops inside it."""


class MedianSettings(Settings):
    """The size of the neighbourhood."""

    radius: int = Field(
        1, ge=1, le=10, title="Radius", description="Voxels on each side: 1 is a box of 3 x 3 x 3.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip


class Median(Filter):
    """Median of the box of (2 radius + 1) voxels along every axis; the type of the voxels is kept.

    SimpleITK's ``MedianImageFilter``: beyond the border the nearest voxel's value counts.  A single slice is filtered
    in its plane only.
    """

    name = "median"
    title = "Median filter"
    group = "Denoise"
    requires = ("SimpleITK",)
    Settings = MedianSettings

    def apply(self, value: Volume, settings: MedianSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Filter a scalar or colour volume (each component alone).

        Raises
        ------
        SettingsError
            If the box is larger than the image along an axis.
        """
        shape = value.geometry.shape
        radius = [0 if size == 1 else settings.radius for size in shape]
        if any(2 * r + 1 > size for r, size in zip(radius, shape, strict=True)):
            raise SettingsError(
                f"median.radius: a box of {2 * settings.radius + 1} voxels is larger than the image {shape} (K, J, I).",
                hint="Use a smaller radius.",
            )
        source = value.array if value.array.ndim == 4 else value.array[..., None]
        result = np.empty_like(source)
        parts = list(range(0, shape[0], SLAB))
        for component in range(source.shape[3]):
            for number, start in enumerate(parts):
                cancel.check()
                stop = min(start + SLAB, shape[0])
                low, high = max(0, start - radius[0]), min(shape[0], stop + radius[0])
                slab = np.ascontiguousarray(source[low:high, :, :, component])
                grid = value.geometry.crop((low, 0, 0), (high - low, shape[1], shape[2]))
                done = to_array(_median(to_sitk(slab, grid), radius[::-1], cancel))
                result[start:stop, :, :, component] = done[start - low : stop - low]
                progress((component * len(parts) + number + 1) / (len(parts) * source.shape[3]), self.title)
        return value.replace(array=result.reshape(value.array.shape))


def _median(image: SimpleITK.Image, radius: list[int], cancel: CancelToken) -> SimpleITK.Image:
    import SimpleITK as sitk

    method = sitk.MedianImageFilter()
    method.SetRadius(radius)
    method.AddCommand(sitk.sitkProgressEvent, lambda: method.Abort() if cancel.cancelled else None)
    try:
        return method.Execute(image)
    except RuntimeError:
        cancel.check()  # an aborted filter raises
        raise
