"""Normalisation of brain MR by the white matter's intensity (WhiteStripe)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..histogram import value_range
from ..inside import inside_mask
from ._base import Filter
from ._region import RegionSettings, region_mask
from ._statistics import Mask, binned, moments, percentiles
from ._values import map_values, real_type

BINS = 1024
TAIL_PERCENT = 99.5
"""Brighter voxels (vessels, fat, spikes) are left out of the histogram."""
RARE = 0.2
"""A peak lower than this share of the highest one is no tissue."""


class WhiteStripeSettings(RegionSettings):
    """Which peak is white matter, and how wide the stripe is."""

    region: Literal["image", "nonzero", "above_mean"] = Field(
        "above_mean",
        title="Statistics from",
        description="All voxels, those that are not 0, or those brighter than the mean, which leaves out the air;"
        " together with 'inside', those of the segment, best the brain.",
    )
    contrast: Literal["T1", "T2"] = Field(
        "T1",
        title="Contrast",
        description="T1: white matter is the last peak of the histogram; T2 (also FLAIR and PD): the highest.",
    )
    width: float = Field(
        0.05,
        gt=0,
        le=0.5,
        title="Width",
        description="Share of the voxels on each side of the peak that the stripe takes in.",
    )
    smoothing: float = Field(
        2.0,
        gt=0,
        le=20,
        title="Smoothing",
        description="Standard deviation of the histogram's smoothing, of the range of values.",
        json_schema_extra={"unit": "%"},
    )


class WhiteStripe(Filter):
    """Every value minus the mean of normal-appearing white matter, divided by its standard deviation.

    After Shinohara et al., NeuroImage: Clinical 6, 9 (2014): the histogram of the region is smoothed (here by a
    Gaussian over 1024 bins up to the 99.5th percentile), the peak of white matter is found (the last one of at least a
    fifth of the highest for T1, the highest for T2), and the voxels whose rank lies within ``width`` of the peak's are
    the stripe.  Best with the brain as ``inside``: without it, scalp and fat add peaks of their own.  The result is
    float32 (float64 stays float64).  NaN is not counted and stays.
    """

    name = "white_stripe"
    title = "White stripe (brain MR)"
    group = "Normalise"
    uses_labels = "optional"
    Settings = WhiteStripeSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: WhiteStripeSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Normalise a scalar volume.

        Raises
        ------
        UnsupportedInput
            For colour.
        InputError
            If the region or the stripe is constant, or the region is empty.
        """
        value.require_scalar(self.title)
        array = value.array
        mask = region_mask(array, inside_mask(labels, settings.inside), settings.region, cancel)
        low, high = _stripe(array, mask, settings, cancel)
        found = moments(array, mask, between=(low, high), cancel=cancel)
        if not found.sd > 0:
            raise InputError(
                f"The stripe from {low:g} to {high:g} is constant, so nothing can be divided by its deviation.",
                hint="Use a wider stripe.",
            )
        result = map_values(
            array,
            lambda values: (values - found.mean) / found.sd,
            real_type(array),
            progress=progress,
            cancel=cancel,
            message=self.title,
        )
        return value.replace(array=result, unit="")


def _stripe(
    array: npt.NDArray[Any], mask: Mask | None, settings: WhiteStripeSettings, cancel: CancelToken
) -> tuple[float, float]:
    """Return the smallest and largest value of the stripe."""
    low, high = percentiles(array, (0.0, TAIL_PERCENT), mask, cancel=cancel)
    if low == high:
        raise InputError(
            "White stripe needs at least two different values; the region is constant.", hint="Check the region."
        )
    counts = binned(array, mask, low, high, BINS, cancel)
    peak = mode_of(smoothed(counts, settings.smoothing / 100 * BINS), last=settings.contrast == "T1")
    # The middle of the voxels in the peak's bin: of whole numbers it may hold many.
    rank = float(counts[:peak].sum() + counts[peak] / 2) / value_range(array, mask, cancel)[2]
    ranks = (max(0.0, rank - settings.width), min(1.0, rank + settings.width))
    first, last = percentiles(array, [100 * r for r in ranks], mask, cancel=cancel)
    return first, last


def smoothed(counts: npt.NDArray[np.int64], sigma: float) -> npt.NDArray[np.float64]:
    """Return counts convolved with a Gaussian of ``sigma`` bins, zeros beyond the ends."""
    reach = math.ceil(4 * sigma)
    sigma = max(sigma, 1e-9)  # far less than a bin: nothing is smoothed
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(np.convolve(counts, kernel / kernel.sum(), mode="full")[reach : reach + counts.size])


def mode_of(smooth: npt.NDArray[np.float64], *, last: bool) -> int:
    """Return the bin of the highest peak, or of the last one of at least a fifth of its height."""
    if not last:
        return int(np.argmax(smooth))
    wide = np.concatenate(([-1.0], smooth, [-1.0]))
    peak = (wide[1:-1] > wide[:-2]) & (wide[1:-1] >= wide[2:]) & (smooth >= RARE * smooth.max())
    return int(np.flatnonzero(peak)[-1])
