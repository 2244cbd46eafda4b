"""Intensities of a segment: IBSI statistics (family UHIW) and two intensity histogram features (ZVCW)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.progress import CancelToken
from medai.core.settings import Settings
from medai.features.roi import Roi

from ._base import Family, Undefined, feature

FloatArray = npt.NDArray[np.float64]
FLAT = "all intensities of the segment are equal"


class FirstOrderSettings(Settings):
    """How intensities are binned; the statistics themselves are never binned."""

    bin_width: float = Field(
        25.0,
        gt=0,
        title="Bin width",
        description="Width of the bins for entropy and uniformity, in the image's unit (IBSI fixed bin size, Q3RU).",
    )


@dataclass(frozen=True, eq=False)
class Sample:
    """The intensities of a region, each different one once.

    Parameters
    ----------
    levels : array, shape (L,)
        Ascending, L >= 1.
    counts : array of int, shape (L,)
        How many voxels have each level.
    origin : float
        Lower edge of the first bin.
    bin_width : float
        Width of a bin, in the image's unit.
    """

    levels: FloatArray
    counts: npt.NDArray[np.int64]
    origin: float
    bin_width: float

    @cached_property
    def size(self) -> int:
        """Number of voxels."""
        return int(self.counts.sum())

    def average(self, values: FloatArray) -> float:
        """Return the mean over the voxels of something that depends on their intensity, shape (L,)."""
        return float((values * self.counts).sum() / self.size)

    @cached_property
    def mean(self) -> float:
        """Arithmetic mean; taken from the minimum, so that equal values give exactly their value."""
        return float(self.levels[0]) + self.average(self.levels - self.levels[0])

    @cached_property
    def deviations(self) -> FloatArray:
        """Differences of the levels from the mean, shape (L,)."""
        return self.levels - self.mean

    @cached_property
    def variance(self) -> float:
        """Population variance (divided by N)."""
        return self.average(self.deviations**2)

    @cached_property
    def standard_moments(self) -> tuple[float, float]:
        """Third and fourth standardised moment.

        The deviations are divided by the largest of them first, so that no power of them overflows or vanishes.
        """
        if len(self.levels) == 1:
            raise Undefined(FLAT)
        z = self.deviations / np.abs(self.deviations).max()
        squares = z * z
        second = self.average(squares)
        return self.average(squares * z) / second**1.5, self.average(squares * squares) / second**2

    @cached_property
    def percentiles(self) -> tuple[float, float, float, float, float]:
        """10th, 25th, 50th, 75th and 90th percentile, linear between order statistics (Hyndman and Fan's type 7)."""
        p10, p25, p50, p75, p90 = (self._percentile(share) for share in (0.10, 0.25, 0.50, 0.75, 0.90))
        return p10, p25, p50, p75, p90

    def _percentile(self, share: float) -> float:
        """Return the value at position ``share (N - 1)`` of the sorted intensities, counted from 0."""
        position = share * (self.size - 1)
        below = math.floor(position)
        low, high = (float(self.levels[np.searchsorted(self._ends, n, side="right")]) for n in (below, below + 1))
        return low if low == high else low + (position - below) * (high - low)

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """Position after the last voxel of each level; the last level has no end, so that N itself lies in it."""
        return np.cumsum(self.counts[:-1])

    @cached_property
    def probabilities(self) -> FloatArray:
        """Share of the voxels in each bin that is not empty.

        Bin of x: ``floor((x - origin) / width)``; IBSI fixed bin size, where the origin is the lower intensity limit if
        there is one and the segment's minimum otherwise.
        """
        bins = np.floor((self.levels - self.origin) / self.bin_width)
        if not np.isfinite(bins[-1]):
            raise Undefined("the intensities span more bins than a 64-bit number can count")
        starts = np.flatnonzero(np.concatenate([[True], bins[1:] != bins[:-1]]))
        return np.asarray(np.add.reduceat(self.counts, starts) / self.size)


class FirstOrder(Family[FirstOrderSettings, Sample]):
    """Statistics of the intensities inside a segment, regardless of where they lie.

    Formulas and codes: IBSI reference manual, chapters "Intensity-based statistical features" and "Intensity histogram
    features" (Zwanenburg et al., arXiv:1612.07003; Radiology 2020;295:328).  x are the N intensities of the intensity
    mask, m their mean, s2 their variance divided by N.  Units are those of the image.  One deviation, on purpose: IBSI
    sets skewness and kurtosis of a flat region to 0, here they are undefined with a reason.
    """

    name = "first_order"
    title = "Intensity"
    Settings = FirstOrderSettings

    def measure(self, roi: Roi, settings: FirstOrderSettings, *, cancel: CancelToken) -> Sample:
        """Sort and count the intensities once; every feature follows from the counts."""
        levels, counts = roi.levels
        if not len(levels):
            raise Undefined("no voxel of the segment lies inside the intensity limits")
        lower = roi.limits.lower if roi.limits is not None else None
        return Sample(levels, counts, float(levels[0]) if lower is None else lower, settings.bin_width)

    @feature("Mean", ibsi="Q4LE", intensity_power=1)
    def mean(self, sample: Sample) -> float:
        """``m = sum(x) / N``."""
        return sample.mean

    @feature("Standard deviation", intensity_power=1)
    def standard_deviation(self, sample: Sample) -> float:
        """``sqrt(s2)``, divided by N; not an IBSI feature of its own."""
        return math.sqrt(sample.variance)

    @feature("Variance", ibsi="ECT3", intensity_power=2)
    def variance(self, sample: Sample) -> float:
        """``s2 = sum((x - m)^2) / N``, without bias correction."""
        return sample.variance

    @feature("Skewness", ibsi="KE2A")
    def skewness(self, sample: Sample) -> float:
        """``(sum((x - m)^3) / N) / s2^(3/2)``; positive if the tail is on the bright side."""
        return sample.standard_moments[0]

    @feature("Excess kurtosis", ibsi="IPH6")
    def excess_kurtosis(self, sample: Sample) -> float:
        """``(sum((x - m)^4) / N) / s2^2 - 3``; 0 for a normal distribution."""
        return sample.standard_moments[1] - 3

    @feature("Median", ibsi="Y12H", intensity_power=1)
    def median(self, sample: Sample) -> float:
        """Middle intensity, the mean of the two middle ones if N is even."""
        return sample.percentiles[2]

    @feature("Minimum", ibsi="1GSF", intensity_power=1)
    def minimum(self, sample: Sample) -> float:
        """Smallest intensity."""
        return float(sample.levels[0])

    @feature("10th percentile", ibsi="QG58", intensity_power=1)
    def percentile_10(self, sample: Sample) -> float:
        """Intensity that a tenth of the voxels lie below, linear between neighbouring order statistics."""
        return sample.percentiles[0]

    @feature("90th percentile", ibsi="8DWT", intensity_power=1)
    def percentile_90(self, sample: Sample) -> float:
        """Intensity that nine tenths of the voxels lie below, linear between neighbouring order statistics."""
        return sample.percentiles[4]

    @feature("Maximum", ibsi="84IY", intensity_power=1)
    def maximum(self, sample: Sample) -> float:
        """Largest intensity."""
        return float(sample.levels[-1])

    @feature("Interquartile range", ibsi="SALO", intensity_power=1)
    def interquartile_range(self, sample: Sample) -> float:
        """``P75 - P25``."""
        return sample.percentiles[3] - sample.percentiles[1]

    @feature("Range", ibsi="2OJQ", intensity_power=1)
    def intensity_range(self, sample: Sample) -> float:
        """``max(x) - min(x)``."""
        return float(sample.levels[-1] - sample.levels[0])

    @feature("Mean absolute deviation", ibsi="4FUA", intensity_power=1)
    def mean_absolute_deviation(self, sample: Sample) -> float:
        """``sum(|x - m|) / N``."""
        return sample.average(np.abs(sample.deviations))

    @feature("Robust mean absolute deviation", ibsi="1128", intensity_power=1)
    def robust_mean_absolute_deviation(self, sample: Sample) -> float:
        """Mean absolute deviation of the intensities from P10 to P90, both included, from their own mean."""
        low = np.searchsorted(sample.levels, sample.percentiles[0], side="left")
        high = np.searchsorted(sample.levels, sample.percentiles[4], side="right")
        if low == high:
            raise Undefined("no intensity lies from the 10th to the 90th percentile")
        kept = replace(sample, levels=sample.levels[low:high], counts=sample.counts[low:high])
        return kept.average(np.abs(kept.deviations))

    @feature("Median absolute deviation", ibsi="N72L", intensity_power=1)
    def median_absolute_deviation(self, sample: Sample) -> float:
        """``sum(|x - median|) / N``: the mean deviation from the median, as IBSI defines it."""
        return sample.average(np.abs(sample.levels - sample.percentiles[2]))

    @feature("Coefficient of variation", ibsi="7TET")
    def coefficient_of_variation(self, sample: Sample) -> float:
        """``sqrt(s2) / m``; says little where intensities can be negative."""
        if sample.mean == 0:
            raise Undefined("the mean is zero")
        return math.sqrt(sample.variance) / sample.mean

    @feature("Quartile coefficient of dispersion", ibsi="9S40")
    def quartile_coefficient_of_dispersion(self, sample: Sample) -> float:
        """``(P75 - P25) / (P75 + P25)``."""
        _, p25, _, p75, _ = sample.percentiles
        if p75 + p25 == 0:
            raise Undefined("the quartiles sum to zero")
        return (p75 - p25) / (p75 + p25)

    @feature("Energy", ibsi="N8CA", intensity_power=2)
    def energy(self, sample: Sample) -> float:
        """``sum(x^2)``; grows with the number of voxels."""
        return float((sample.levels**2 * sample.counts).sum())

    @feature("Root mean square", ibsi="5ZWQ", intensity_power=1)
    def root_mean_square(self, sample: Sample) -> float:
        """``sqrt(sum(x^2) / N)``."""
        return math.sqrt(sample.average(sample.levels**2))

    @feature("Entropy", ibsi="TLU2", unit="bit")
    def entropy(self, sample: Sample) -> float:
        """``-sum(p log2 p)`` over the bins of fixed width; 0 if all voxels share one bin."""
        p = sample.probabilities
        return float(abs(p @ np.log2(p)))

    @feature("Uniformity", ibsi="BJ5W")
    def uniformity(self, sample: Sample) -> float:
        """``sum(p^2)`` over the bins of fixed width; 1 if all voxels share one bin."""
        p = sample.probabilities
        return float(p @ p)
