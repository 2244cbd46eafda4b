"""Gamma correction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..colour import ColourSettings, by_component
from ._base import Filter
from ._values import Reals, constant_flag, kept_type, map_values, range_of


class GammaSettings(ColourSettings):
    """The exponent."""

    gamma: float = Field(
        0.7, ge=0.05, le=20, title="Gamma", description="Exponent: below 1 brightens the dark parts, above 1 darkens."
    )


class Gamma(Filter):
    """Power law between the image's smallest and largest value, which stay where they are.

    A value v becomes low + (high - low) ((v - low) / (high - low))^gamma; for an image that fills its type's range that
    is ``skimage.exposure.adjust_gamma``.  The type of the voxels is kept, whole numbers are rounded.  NaN stays;
    infinity becomes the largest or smallest finite value.  A constant image is returned unchanged with the flag
    ``INT_CONSTANT``.
    """

    name = "gamma"
    title = "Gamma correction"
    group = "Enhance"
    Settings = GammaSettings

    def apply(self, value: Volume, settings: GammaSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Change a scalar or colour volume.

        Raises
        ------
        InputError
            If there is no finite value.
        """
        flags: list[QCFlag] = []

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            low, high = range_of(array, None, cancel)
            if low == high:
                flags.append(constant_flag(self.title))
                return array.astype(kept_type(array))

            def curve(values: Reals) -> Reals:
                share = np.clip((values - low) / (high - low), 0.0, 1.0)
                return np.asarray(low + (high - low) * share**settings.gamma, dtype=np.float64)

            return map_values(array, curve, kept_type(array), progress=part, cancel=cancel, message=self.title)

        result = by_component(value.array, one, progress, settings.colour)
        return value.replace(array=result, unit="" if not flags else value.unit).with_flags(*flags)
