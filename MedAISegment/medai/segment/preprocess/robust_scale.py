"""Normalisation by percentiles, which a few extreme voxels do not disturb."""

from __future__ import annotations

from typing import Any, Literal

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
from ._statistics import percentiles
from ._values import Reals, map_values, real_type


class RobustScaleSettings(RegionSettings):
    """Which percentiles, and what becomes of values beyond them."""

    method: Literal["percentiles", "iqr"] = Field(
        "percentiles",
        title="Method",
        description="Two percentiles become 0 and 1; or median 0 and interquartile range 1.",
    )
    low_percent: float = Field(
        1.0, ge=0, lt=100, title="Low percentile", description="Method percentiles: becomes 0.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    high_percent: float = Field(
        99.0, gt=0, le=100, title="High percentile", description="Method percentiles: becomes 1.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    clip: bool = Field(False, title="Clip", description="Method percentiles: cut values below 0 and above 1 off.")

    @model_validator(mode="after")
    def _fits(self) -> RobustScaleSettings:
        if self.low_percent >= self.high_percent:
            raise ValueError(
                f"low_percent {self.low_percent:g} must be smaller than high_percent {self.high_percent:g}"
            )
        if self.clip and self.method == "iqr":
            raise ValueError("clip belongs to the method 'percentiles'")
        return self


class RobustScale(Filter):
    """Linear scaling by percentiles of a region.

    ``percentiles``: (v - low) / (high - low).  ``iqr``: (v - median) / (75th - 25th percentile), as scikit-learn's
    ``RobustScaler``.  A percentile is always a value of the image (NumPy's ``inverted_cdf``).  All voxels are changed.
    The result is float32 (float64 stays float64).  NaN is not counted and stays.  Each channel of a colour image is
    scaled alone.
    """

    name = "robust_scale"
    title = "Robust scaling"
    group = "Normalise"
    uses_labels = "optional"
    Settings = RobustScaleSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: RobustScaleSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Scale a scalar or colour volume.

        Raises
        ------
        InputError
            If both percentiles are equal, or the region is empty or holds no finite value.
        """
        inside = inside_mask(labels, settings.inside)
        wanted = (settings.low_percent, settings.high_percent) if settings.method == "percentiles" else (25.0, 75.0)

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            mask = region_mask(array, inside, settings.region, cancel)
            low, centre, high = percentiles(array, (wanted[0], 50.0, wanted[1]), mask, cancel=cancel)
            if low == high:
                raise InputError(
                    f"The percentiles {wanted[0]:g} and {wanted[1]:g} are both {low:g}.",
                    hint="Put them further apart, or choose another region.",
                )
            zero = low if settings.method == "percentiles" else centre

            def line(values: Reals) -> Reals:
                share = (values - zero) / (high - low)
                return np.clip(share, 0.0, 1.0) if settings.clip else share

            return map_values(array, line, real_type(array), progress=part, cancel=cancel, message=self.title)

        return value.replace(array=by_component(value.array, one, progress), unit="")
