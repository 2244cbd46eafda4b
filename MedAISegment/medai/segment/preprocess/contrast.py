"""Contrast stretching: a range of values is spread over the whole range."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.errors import InputError, SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..colour import ColourSettings, by_component
from ..hu import hu_flags
from ..inside import InsideSettings, inside_mask
from ._base import Filter
from ._statistics import percentiles
from ._values import constant_flag, kept_type, map_values, range_of, real_type, stretched

WINDOWS: dict[str, tuple[float, float]] = {
    "lung": (-600.0, 1500.0),
    "mediastinum": (50.0, 350.0),
    "soft_tissue": (50.0, 400.0),
    "liver": (30.0, 150.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
    "stroke": (40.0, 40.0),
    "subdural": (75.0, 215.0),
    "temporal_bone": (600.0, 2800.0),
    "spine": (50.0, 250.0),
}
"""CT windows as (level, width) in HU: the values in common use, as Radiopaedia's article "Windowing (CT)" lists them;
the middle where it gives a range."""


class ContrastSettings(InsideSettings, ColourSettings):
    """The range that is spread, and where to."""

    method: Literal["percentiles", "window", "preset"] = Field(
        "percentiles",
        title="Method",
        description="Between two percentiles, a window by level and width, or a CT window by name.",
    )
    low_percent: float = Field(
        1.0, ge=0, lt=100, title="Low percentile", description="Method percentiles: voxels up to it become black.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    high_percent: float = Field(
        99.0, gt=0, le=100, title="High percentile", description="Method percentiles: voxels above it become white.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    level: float = Field(40.0, title="Level", description="Method window: its centre, in the image's own values.")
    width: float = Field(400.0, gt=0, title="Width", description="Method window: its width, in the image's own values.")
    preset: Literal[
        "lung", "mediastinum", "soft_tissue", "liver", "bone", "brain", "stroke", "subdural", "temporal_bone", "spine"
    ] = Field("soft_tissue", title="CT window", description="Method preset: a window in Hounsfield units.")
    output: Literal["image", "unit", "byte"] = Field(
        "image",
        title="Output",
        description="Spread over the image's own range in its own type, over 0 to 1, or over 0 to 255 in bytes.",
    )

    @model_validator(mode="after")
    def _fits(self) -> ContrastSettings:
        if self.low_percent >= self.high_percent:
            raise ValueError(
                f"low_percent {self.low_percent:g} must be smaller than high_percent {self.high_percent:g}"
            )
        if self.colour == "luminance" and self.output != "image":
            raise ValueError("colour 'luminance' needs the output 'image'")
        return self


class Contrast(Filter):
    """Linear stretch of a range of values; what lies beyond the range becomes black or white.

    The range is ``low_percent`` to ``high_percent`` of the voxels (inside a segment, if one is named), or level -
    width / 2 to level + width / 2 (DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT).  The function is
    ``skimage.exposure.rescale_intensity`` with ``in_range``.  With the output ``image`` the type of the voxels is kept
    and whole numbers are rounded; ``unit`` gives float32 (float64 stays float64); ``byte`` gives uint8.  NaN stays, but
    is refused for bytes.  A constant image is returned unchanged with the flag ``INT_CONSTANT`` by the method
    percentiles with the output ``image``, and refused otherwise.  A CT window on an image that is not in HU is flagged
    ``INT_RANGE_NOT_HU``.
    """

    name = "contrast"
    title = "Contrast stretching"
    group = "Enhance"
    uses_labels = "optional"
    Settings = ContrastSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: ContrastSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Stretch a scalar or colour volume.

        Raises
        ------
        InputError
            If there is no finite value, both percentiles are equal, or NaN should become a byte.
        """
        flags: list[QCFlag] = list(hu_flags(value, cancel)) if settings.method == "preset" else []
        mask = inside_mask(labels, settings.inside)

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            lowest, highest = range_of(array, None, cancel)
            if lowest == highest and settings.method == "percentiles" and settings.output == "image":
                flags.append(constant_flag(self.title))
                return array.astype(kept_type(array))
            low, high = _limits(array, mask, settings, cancel)
            black, white, dtype = lowest, highest, kept_type(array)
            if settings.output != "image":
                black, white, dtype = 0.0, 1.0, real_type(array)
            if settings.output == "byte":
                if array.dtype.kind == "f" and np.isnan(array).any():
                    raise InputError("The image holds NaN, which a byte cannot hold.", hint="Use the output 'unit'.")
                white, dtype = 255.0, np.dtype(np.uint8)
            curve = stretched(low, high, black, white)
            return map_values(array, curve, dtype, progress=part, cancel=cancel, message=self.title)

        result = by_component(value.array, one, progress, settings.colour)
        unchanged = any(flag.code == "INT_CONSTANT" for flag in flags)
        return value.replace(array=result, unit=value.unit if unchanged else "").with_flags(*flags)


def _limits(
    array: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None, settings: ContrastSettings, cancel: CancelToken
) -> tuple[float, float]:
    if settings.method != "percentiles":
        level, width = (settings.level, settings.width) if settings.method == "window" else WINDOWS[settings.preset]
        low, high = level - width / 2, level + width / 2
        if not low < high:
            raise SettingsError(f"contrast.width: {width:g} is nothing beside the level {level:g}.")
        return low, high
    low, high = percentiles(array, (settings.low_percent, settings.high_percent), mask, cancel=cancel)
    if low == high:
        raise InputError(
            f"The percentiles {settings.low_percent:g} and {settings.high_percent:g} are both {low:g}.",
            hint="Put them further apart, or work inside a segment.",
        )
    return low, high
