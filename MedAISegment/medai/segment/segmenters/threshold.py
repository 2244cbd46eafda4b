"""Global threshold: by hand, by a method that looks at the histogram, or by a tissue's limits in CT."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..anatomy import named
from ..histogram import histogram_of
from ..hu import TISSUES, hu_flags
from ..inside import InsideSettings, inside_mask
from ._base import Segmenter
from ._flags import empty_flags
from ._intervals import after, label_intervals
from ._thresholds import METHODS, first_bright_value

Method = Literal[
    "otsu", "manual", "li", "yen", "triangle", "isodata", "minimum_error",
    "air", "lung", "fat", "soft_tissue", "bone", "calcium",
]  # fmt: skip
NAME = "Foreground"


class ThresholdSettings(InsideSettings):
    """Which voxels belong to the segment."""

    method: Method = Field(
        "otsu",
        title="Method",
        description="How the limits are found: from the histogram (otsu to minimum_error), by hand (manual), "
        "or a tissue's usual limits in CT (air to calcium).",
    )
    lower: float | None = Field(
        None, title="Lower", description="Smallest value of the segment (manual); none for no limit."
    )
    upper: float | None = Field(
        None, title="Upper", description="Largest value of the segment (manual); none for no limit."
    )
    side: Literal["brighter", "darker"] = Field(
        "brighter",
        title="Side",
        description="Which side of a threshold found from the histogram is the segment.",
    )
    name: str = Field(
        NAME,
        min_length=1,
        max_length=64,
        title="Name",
        description="Name of the segment; 'Foreground' becomes the tissue's name if the method is a tissue.",
    )

    @model_validator(mode="after")
    def _limits_fit(self) -> ThresholdSettings:
        if self.method != "manual" and (self.lower is not None or self.upper is not None):
            raise ValueError("lower and upper belong to the method 'manual'")
        if self.method == "manual" and self.lower is None and self.upper is None:
            raise ValueError("the method 'manual' needs lower, upper or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower {self.lower:g} is greater than upper {self.upper:g}")
        if self.side == "darker" and self.method not in METHODS:
            raise ValueError(f"a side belongs to a threshold found from the histogram, not to {self.method!r}")
        return self


class Threshold(Segmenter):
    """Every voxel from ``lower`` to ``upper``, both included; or on one side of a threshold that the histogram gives.

    Otsu, Li, Yen, triangle, isodata as in scikit-image, minimum error after Kittler and Illingworth; whole numbers are
    counted one by one, others in 4,096 bins, so no bin width is a setting.  The brighter side includes the threshold.
    Tissues are ranges of HU (:data:`medai.segment.hu.TISSUES`); the flag ``INT_RANGE_NOT_HU`` tells if the image is
    not in HU.  Any number of slices; NaN and infinite voxels never belong to the segment and are not counted.  What
    was used is in ``meta["threshold"]``.
    """

    name = "threshold"
    title = "Threshold"
    group = "Threshold"
    uses_labels = "optional"
    Settings = ThresholdSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: ThresholdSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Segment a scalar volume.

        Raises
        ------
        InputError
            If a method that looks at the histogram is asked for on a constant image.
        """
        value.require_scalar(self.title)
        array = value.array
        mask = inside_mask(labels, settings.inside)
        lower, upper, name = settings.lower, settings.upper, settings.name
        found: float | None = None
        flags: tuple[QCFlag, ...] = ()
        if settings.method in TISSUES:
            lower, upper, tissue, _ = TISSUES[settings.method]
            name = tissue if name == NAME else name
            flags = hu_flags(value, cancel)
        elif settings.method in METHODS:
            found = automatic_threshold(array, settings.method, mask, cancel)
        progress(0.3, self.title)
        starts: list[float | int] = []
        codes = [1]
        if found is not None:
            starts, codes = [found], [0, 1] if settings.side == "brighter" else [1, 0]
        if lower is not None:
            starts, codes = [lower], [0, 1]
        if upper is not None:
            starts, codes = [*starts, after(upper, array.dtype)], [*codes, 0]
        result = label_intervals(
            array, starts, codes, inside=mask, progress=sub_progress(progress, 0.3, 0.95), cancel=cancel,
            message=self.title,
        )  # fmt: skip
        made = LabelMap(
            result, value.geometry, (named(1, name),), flags,
            {"threshold": {"method": settings.method, "lower": lower if found is None else found, "upper": upper,
                           "side": settings.side}},
        )  # fmt: skip
        return made.replace(flags=flags + empty_flags(made, "No voxel lies within the limits."))


def automatic_threshold(
    array: npt.NDArray[Any],
    method: str,
    mask: npt.NDArray[np.bool_] | None = None,
    cancel: CancelToken | None = None,
) -> float:
    """Return a threshold from the histogram: voxels at or above it are the brighter class.

    Parameters
    ----------
    array : array, shape (K, J, I)
        Scalar values; NaN and infinity do not count.
    method : {"otsu", "li", "yen", "triangle", "isodata", "minimum_error"}
        See :mod:`medai.segment.segmenters._thresholds`.
    mask : array of bool, shape (K, J, I), optional
        Only its voxels count.

    Raises
    ------
    InputError
        If fewer than two different finite values exist.
    """
    histogram = histogram_of(array, mask, cancel=cancel)
    histogram.require_two_values(f"The threshold method {method!r}")
    return first_bright_value(histogram, method)


def otsu(array: npt.NDArray[Any]) -> float:
    """Return Otsu's threshold; see :func:`automatic_threshold`."""
    return automatic_threshold(array, "otsu")
