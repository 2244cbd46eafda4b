"""Clipping of values to a range: rings, metal and hot pixels are cut off."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.errors import SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..colour import by_component
from ..inside import InsideSettings, inside_mask
from ..slabs import for_slabs
from ._base import Filter
from ._statistics import percentiles
from ._values import Reals, kept_type, map_values

SLAB_VOXELS = 1 << 22
FLOAT32_MAX = float(np.finfo(np.float32).max)


class ClipSettings(InsideSettings):
    """The range, and what becomes of values outside it."""

    method: Literal["percentiles", "range"] = Field(
        "percentiles", title="Method", description="Limits from percentiles of the image, or by hand."
    )
    low_percent: float = Field(
        0.5, ge=0, lt=100, title="Low percentile", description="Method percentiles: lower limit.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    high_percent: float = Field(
        99.5, gt=0, le=100, title="High percentile", description="Method percentiles: upper limit.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    lower: float | None = Field(
        None, title="Lower", description="Method range: smallest value kept; none for no limit."
    )
    upper: float | None = Field(None, title="Upper", description="Method range: largest value kept; none for no limit.")
    replace: Literal["limit", "fill"] = Field(
        "limit", title="Replace by", description="Values outside the range become the nearer limit, or the fill value."
    )
    fill: float = Field(0.0, title="Fill value", description="With 'fill': the value of voxels outside the range.")

    @model_validator(mode="after")
    def _fits(self) -> ClipSettings:
        if self.low_percent >= self.high_percent:
            raise ValueError(
                f"low_percent {self.low_percent:g} must be smaller than high_percent {self.high_percent:g}"
            )
        if self.method == "range" and self.lower is None and self.upper is None:
            raise ValueError("the method 'range' needs lower, upper or both")
        if self.method == "percentiles" and (self.lower is not None or self.upper is not None):
            raise ValueError("lower and upper belong to the method 'range'")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower {self.lower:g} is greater than upper {self.upper:g}")
        return self


class Clip(Filter):
    """Values below and above a range are replaced by its limits (``numpy.clip``) or by a fill value.

    Percentiles are values of the image (of a segment, if one is named; the whole image is clipped all the same).  The
    type of the voxels is kept: between whole numbers, the limits are the whole numbers inside the range.  NaN stays;
    infinity lies outside every range with a limit on its side.  A colour image is clipped channel by channel.
    """

    name = "clip"
    title = "Clip values"
    group = "Enhance"
    uses_labels = "optional"
    Settings = ClipSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: ClipSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Clip a scalar or colour volume.

        Raises
        ------
        SettingsError
            If the fill value or the range do not fit the voxels' type.
        InputError
            If there is no finite value to take percentiles of.
        """
        mask = inside_mask(labels, settings.inside)

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            lower, upper = _limits(array, mask, settings, cancel)
            if settings.replace == "limit":
                return _clipped(array, lower, upper, part, cancel)

            def cut(values: Reals) -> Reals:
                return np.asarray(np.where((values < lower) | (values > upper), settings.fill, values))

            return map_values(array, cut, kept_type(array), progress=part, cancel=cancel, message=self.title)

        return value.replace(array=by_component(value.array, one, progress))


def _clipped(
    array: npt.NDArray[Any], lower: float, upper: float, progress: ProgressFn, cancel: CancelToken
) -> npt.NDArray[Any]:
    result = np.empty(array.shape, dtype=kept_type(array))
    low, high = lower, upper
    if result.dtype.kind in "iu":  # NumPy compares within the type, so the limits must be numbers of it
        info = np.iinfo(result.dtype)
        low, high = int(max(lower, info.min)), int(min(upper, info.max))
    elif result.dtype == np.float32:
        low, high = (v if abs(v) <= FLOAT32_MAX else math.copysign(math.inf, v) for v in (lower, upper))

    def part(start: int, stop: int) -> None:
        values = array[start:stop].astype(result.dtype, copy=False)
        np.clip(values, low, high, out=result[start:stop])

    slab = max(1, SLAB_VOXELS // array[0].size)
    for_slabs(len(array), part, slab=slab, progress=progress, cancel=cancel, message=Clip.title)
    return result


def _limits(
    array: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None, settings: ClipSettings, cancel: CancelToken
) -> tuple[float, float]:
    if settings.method == "percentiles":
        lower, upper = percentiles(array, (settings.low_percent, settings.high_percent), mask, cancel=cancel)
    else:
        lower = -math.inf if settings.lower is None else settings.lower
        upper = math.inf if settings.upper is None else settings.upper
    dtype = kept_type(array)
    if dtype.kind == "f":
        return lower, upper
    info = np.iinfo(dtype)
    if settings.replace == "fill" and not (info.min <= settings.fill <= info.max and settings.fill.is_integer()):
        raise SettingsError(
            f"clip.fill: {settings.fill:g} is no value of the image's type {dtype} ({info.min} to {info.max})."
        )
    lower, upper = (v if math.isinf(v) else float(r(v)) for v, r in ((lower, math.ceil), (upper, math.floor)))
    if lower > upper or lower > info.max or upper < info.min:
        raise SettingsError(
            f"clip.lower: no whole number of type {dtype} lies between lower and upper.", hint="Widen the range."
        )
    return lower, upper
