"""Histogram equalisation."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..colour import ColourSettings, by_component
from ..histogram import Histogram, histogram_of
from ..inside import InsideSettings, inside_mask
from ._base import Filter
from ._values import Reals, constant_flag, kept_type, map_values, range_of

BINS = 65536
"""Bins of real numbers, and of whole numbers that span more values than this."""


class EqualiseSettings(InsideSettings, ColourSettings):
    """Which voxels are counted and which are changed."""

    outside: Literal["change", "keep"] = Field(
        "change",
        title="Outside",
        description="Voxels outside the segment: change them like those inside, or keep them as they are.",
    )


class Equalise(Filter):
    """Histogram equalisation: every value is replaced by its rank, so that all grey values occur about equally often.

    A value v becomes low + (high - low) F(v), where F(v) is the share of the counted voxels that are not greater than
    v, and low and high are the smallest and largest of them (Gonzalez and Woods, Digital Image Processing, 3.3).  That
    is ``skimage.exposure.equalize_hist`` (with its ``mask``) stretched to the image's own range.  Whole numbers are
    counted one by one if they span at most 65,536 values, others in 65,536 bins, which all voxels of a bin share.  The
    type of the voxels is kept, whole numbers are rounded.  NaN is not counted and stays.  A constant image is returned
    unchanged with the flag ``INT_CONSTANT``.
    """

    name = "equalise"
    title = "Histogram equalisation"
    group = "Enhance"
    uses_labels = "optional"
    Settings = EqualiseSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: EqualiseSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Equalise a scalar or colour volume.

        Raises
        ------
        InputError
            If there is no finite value, or the segment to work inside is missing or empty.
        """
        mask = inside_mask(labels, settings.inside)
        keep = ~mask if mask is not None and settings.outside == "keep" else None
        flags: list[QCFlag] = []

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            low, high = range_of(array, mask, cancel)
            histogram = histogram_of(array, mask, bins=BINS, cancel=cancel)
            if np.count_nonzero(histogram.counts) < 2:
                flags.append(constant_flag(self.title))
                return array.astype(kept_type(array))
            ranks = _Ranks(histogram, low, high)
            return map_values(
                array, ranks, kept_type(array), progress=part, cancel=cancel, message=self.title, keep=keep
            )

        result = by_component(value.array, one, progress, settings.colour)
        return value.replace(array=result, unit="" if not flags else value.unit).with_flags(*flags)


class _Ranks:
    """The map from a value to its rank, in the image's own range."""

    def __init__(self, histogram: Histogram, low: float, high: float) -> None:
        self.low = low
        self.last = len(histogram.counts) - 1
        self.new = low + (high - low) * np.cumsum(histogram.counts) / histogram.total
        consecutive = histogram.exact and histogram.edges[-1] - histogram.edges[0] == self.last
        # The histogram's own arithmetic, so that a value on a bin's edge is found in the bin it was counted in.
        self.width = (1.0 if consecutive else 0.0) if histogram.exact else (high - low) / (self.last + 1)
        self.edges = histogram.edges

    def __call__(self, values: Reals) -> Reals:
        place: npt.NDArray[Any] = (
            (values - self.low) / self.width if self.width else np.searchsorted(self.edges, values, side="right") - 1.0
        )
        missing = np.isnan(values)
        index = np.where(missing, 0.0, np.clip(place, 0, self.last)).astype(np.intp)
        found: Reals = np.asarray(self.new[index], dtype=np.float64)
        found[missing] = np.nan
        return found
