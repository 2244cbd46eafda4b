"""Threshold segmentation: by hand or by Otsu's method."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.errors import InputError
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn
from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings
from medai.core.volume import Volume

from ._base import Segmenter

BINS = 4096
TISSUE = Code("85756007", "SCT", "Tissue")


class ThresholdSettings(Settings):
    """Which voxels belong to the segment."""

    method: Literal["otsu", "manual"] = Field("otsu", title="Method", description="Otsu's method, or limits by hand.")
    lower: float | None = Field(None, title="Lower", description="Smallest value of the segment; none for no limit.")
    upper: float | None = Field(None, title="Upper", description="Largest value of the segment; none for no limit.")
    name: str = Field("Foreground", min_length=1, max_length=64, title="Name", description="Name of the segment.")

    @model_validator(mode="after")
    def _limits_fit(self) -> ThresholdSettings:
        if self.method == "otsu" and (self.lower is not None or self.upper is not None):
            raise ValueError("lower and upper belong to the method 'manual'")
        if self.method == "manual" and self.lower is None and self.upper is None:
            raise ValueError("the method 'manual' needs lower, upper or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower {self.lower:g} is greater than upper {self.upper:g}")
        return self


class Threshold(Segmenter):
    """Every voxel from ``lower`` to ``upper``, both included; Otsu finds ``lower`` from the histogram.

    NaN voxels never belong to the segment and are not counted in the histogram.
    """

    name = "threshold"
    title = "Threshold"
    group = "Threshold"
    Settings = ThresholdSettings

    def apply(
        self, value: Volume, settings: ThresholdSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Segment a scalar volume.

        Raises
        ------
        InputError
            If Otsu's method is asked for on a constant image.
        """
        value.require_scalar(self.title)
        array = value.array
        flags: tuple[QCFlag, ...] = ()
        lower, upper = settings.lower, settings.upper
        if settings.method == "otsu":
            lower = otsu(array)
        cancel.check()
        progress(0.5, self.title)
        mask = np.ones(array.shape, dtype=np.bool_) if array.dtype.kind != "f" else np.isfinite(array)
        if lower is not None:
            mask &= array >= lower
        if upper is not None:
            mask &= array <= upper
        if not mask.any():
            flags = (QCFlag("MASK_EMPTY", Severity.WARNING, "No voxel lies within the limits.", affects=settings.name),)
        segment = Segment(1, settings.name, (0.85, 0.37, 0.01), Code("85756007", "SCT", "Tissue"), TISSUE)
        return LabelMap(mask.astype(np.uint8), value.geometry, (segment,), flags)


def otsu(array: npt.NDArray[np.generic]) -> float:
    """Return Otsu's threshold: voxels at or above it are the brighter class.

    The threshold maximises the between-class variance of the histogram (Otsu, IEEE Trans. SMC 9, 62 (1979), eq. 18).
    Integers of at most 65,536 different values are counted one by one, other values in 4,096 equal bins (or
    one by one, where their type cannot tell so many bins apart).

    Raises
    ------
    InputError
        If fewer than two different finite values exist.
    """
    values = array.reshape(-1)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        raise InputError("Otsu's method needs at least two different values; the image is constant or empty.")
    low, high = values.min(), values.max()
    if values.dtype.kind in "iub" and int(high) - int(low) < 65536:
        counts = np.bincount((values.astype(np.int64) - int(low)), minlength=int(high) - int(low) + 1)
        centres = np.arange(int(low), int(high) + 1, dtype=np.float64)
        edges = centres
    else:
        try:
            counts, cuts = np.histogram(values, bins=BINS, range=(float(low), float(high)))
            centres, edges = (cuts[:-1] + cuts[1:]) / 2, cuts[:-1]
        except ValueError:  # the type holds too few numbers between low and high for so many bins: count each
            edges, counts = np.unique(values, return_counts=True)
            centres = edges.astype(np.float64)
    weight = counts.astype(np.float64)
    below = np.cumsum(weight)[:-1]
    above = weight.sum() - below
    moment = np.cumsum(weight * centres)
    mean_below = moment[:-1] / np.maximum(below, 1)
    mean_above = (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    return float(edges[1 + int(np.argmax(below * above * (mean_below - mean_above) ** 2))])
