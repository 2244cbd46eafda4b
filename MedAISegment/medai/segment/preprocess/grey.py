"""Grey values of a colour picture: what steps that need one value per voxel work on."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from medai.core.errors import UnsupportedInput
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import LUMA
from ..slabs import for_slabs
from ._base import Filter


class GreySettings(Settings):
    """Which value a voxel gets."""

    take: Literal["luminance", "red", "green", "blue"] = Field(
        "luminance", title="Take", description="The luminance of red, green and blue, or one of the three channels."
    )


class Grey(Filter):
    """Luminance 0.299 R + 0.587 G + 0.114 B (Recommendation ITU-R BT.601), or one channel, of an RGB or RGBA picture.

    The voxel type is kept; whole numbers are rounded.  A fourth component, the opacity, is left out.  An image of one
    value per voxel is returned as it is.
    """

    name = "grey"
    title = "Grey values"
    group = "Normalise"
    Settings = GreySettings

    def apply(self, value: Volume, settings: GreySettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Turn a colour picture into a scalar one.

        Raises
        ------
        UnsupportedInput
            If the image has neither one, three nor four components per voxel.
        """
        progress(0.0, self.title)
        if value.components == 1:
            return value.replace(array=value.array.reshape(value.geometry.shape))
        if value.components not in (3, 4):
            raise UnsupportedInput(
                f"Grey values need a scalar or an RGB image, given {value.components} components per voxel."
            )
        channels = {"red": 0, "green": 1, "blue": 2}
        result = np.empty(value.geometry.shape, dtype=value.array.dtype)

        def fill(start: int, stop: int) -> None:
            part = value.array[start:stop]
            if settings.take != "luminance":
                result[start:stop] = part[..., channels[settings.take]]
                return
            luma = sum(np.float64(w) * part[..., n] for n, w in enumerate(LUMA))
            result[start:stop] = np.rint(luma) if result.dtype.kind in "iub" else luma

        for_slabs(len(result), fill, slab=1, progress=progress, cancel=cancel, message=self.title)
        return value.replace(array=result)
