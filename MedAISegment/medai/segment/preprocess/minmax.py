"""Normalisation from the smallest and largest value to a given range."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..colour import by_component
from ..inside import inside_mask
from ._base import Filter
from ._region import RegionSettings, region_mask
from ._values import Reals, map_values, range_of, real_type


class MinmaxSettings(RegionSettings):
    """The range wanted."""

    low: float = Field(0.0, ge=-1e30, le=1e30, title="Low", description="What the smallest value becomes.")
    high: float = Field(1.0, ge=-1e30, le=1e30, title="High", description="What the largest value becomes.")
    clip: bool = Field(
        False, title="Clip", description="Cut values off that lie beyond the range, because they are not in the region."
    )

    @model_validator(mode="after")
    def _fits(self) -> MinmaxSettings:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be smaller than high {self.high:g}")
        return self


class Minmax(Filter):
    """Linear scaling that brings the smallest and largest value of a region to ``low`` and ``high``.

    ``skimage.exposure.rescale_intensity`` with the region's range; voxels outside the region follow the same line
    unless they are clipped.  The result is float32 (float64 stays float64).  NaN and infinity are not counted and stay;
    infinity is clipped if ``clip`` is set.  Each channel of a colour image is scaled alone.
    """

    name = "minmax"
    title = "Min-max scaling"
    group = "Normalise"
    uses_labels = "optional"
    Settings = MinmaxSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: MinmaxSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Scale a scalar or colour volume.

        Raises
        ------
        InputError
            If the region is constant, empty, or holds no finite value.
        """
        inside = inside_mask(labels, settings.inside)

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            mask = region_mask(array, inside, settings.region, cancel)
            low, high = range_of(array, mask, cancel)
            if low == high:
                raise InputError("Min-max scaling needs at least two different values; the region is constant.")

            def line(values: Reals) -> Reals:
                share = (values - low) / (high - low)
                found = settings.low + (settings.high - settings.low) * share
                return np.clip(found, settings.low, settings.high) if settings.clip else found

            return map_values(array, line, real_type(array), progress=part, cancel=cancel, message=self.title)

        return value.replace(array=by_component(value.array, one, progress), unit="")
