"""Mean filter over a box of voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ._base import Filter
from ._separable import correlate

Array = npt.NDArray[Any]


class MeanSettings(Settings):
    """The size of the neighbourhood."""

    radius: int = Field(
        1, ge=1, le=50, title="Radius", description="Voxels on each side: 1 is a box of 3 x 3 x 3.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip


class Mean(Filter):
    """Mean of the box of (2 radius + 1) voxels along every axis.

    The values are those of SimpleITK's ``MeanImageFilter`` and of :func:`scipy.ndimage.uniform_filter` with the border
    ``nearest``: beyond the image its nearest voxel counts.  A single slice is filtered in its plane only, and so along
    every axis of one voxel.  The result is float32 (float64 stays float64): the sums of integers are exact as long as
    they stay below 2^24, and rounded to float32 above.  A voxel whose box holds a NaN becomes NaN.
    """

    name = "mean"
    title = "Mean filter"
    group = "Denoise"
    requires = ("scipy",)
    Settings = MeanSettings

    def apply(self, value: Volume, settings: MeanSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Filter a scalar or colour volume (each component alone).

        Raises
        ------
        SettingsError
            If the box is larger than the image along an axis.
        """
        shape = value.geometry.shape
        box = [1 if size == 1 else 2 * settings.radius + 1 for size in shape]
        if any(wide > size for wide, size in zip(box, shape, strict=True)):
            raise SettingsError(
                f"mean.radius: a box of {2 * settings.radius + 1} voxels is larger than the image {shape} (K, J, I).",
                hint="Use a smaller radius.",
            )
        weights = [np.ones(wide) for wide in box]
        count = float(box[0] * box[1] * box[2])

        def average(array: Array, ahead: ProgressFn) -> Array:
            return correlate(
                array, weights, border="nearest", divisor=count, progress=ahead, cancel=cancel, message=self.title
            )

        return value.replace(array=by_component(value.array, average, progress))
