"""Thresholds that a histogram gives: each function returns the last bin of the darker class.

``counts[: t + 1]`` are darker and ``counts[t + 1 :]`` brighter; neither class is empty.  Each formula follows its
paper; where scikit-image has the method, the result is its own on the same histogram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..histogram import Histogram

Floats = npt.NDArray[np.float64]


def otsu_bin(histogram: Histogram) -> int:
    """Maximise the variance between the classes (Otsu, IEEE Trans. SMC 9, 62 (1979), eq. 18)."""
    _, below, above, mean_below, mean_above = _classes(histogram)
    return int(np.argmax(below * above * (mean_below - mean_above) ** 2))


def li_bin(histogram: Histogram) -> int:
    """Minimise the cross entropy by Li and Tam's iteration (Pattern Recognition Letters 19, 771 (1998)).

    Starts at the mean and ends when the threshold moves by no more than half a bin, as scikit-image does.
    """
    weight = histogram.counts.astype(np.float64)
    values = histogram.centres - histogram.centres[0]
    tolerance = 0.5 * float(np.diff(values).min())
    total, moment = weight.sum(), float(weight @ values)
    place, threshold = -1, moment / total
    previous = threshold - 4 * tolerance
    below = np.cumsum(weight)
    moments = np.cumsum(weight * values)
    while abs(threshold - previous) > tolerance:
        previous = threshold
        place = int(np.searchsorted(values, threshold, side="right")) - 1
        dark = moments[place] / below[place]
        if dark == 0:
            break
        bright = (moment - moments[place]) / (total - below[place])
        threshold = (dark - bright) / (np.log(dark) - np.log(bright))
    return int(np.searchsorted(values, threshold, side="right")) - 1


def yen_bin(histogram: Histogram) -> int:
    """Maximise the entropic correlation (Yen, Chang and Chang, IEEE Trans. Image Processing 4, 370 (1995))."""
    share = histogram.counts / histogram.total
    below = np.cumsum(share)[:-1]
    squares = np.cumsum(share**2)
    dark = squares[:-1]
    # Summed from the bright end: a difference of sums would lose the few voxels there.
    bright = np.cumsum((share**2)[::-1])[::-1][1:]
    return int(np.argmax(2 * np.log(below * (1 - below).clip(1e-300)) - np.log(dark) - np.log(bright)))


def triangle_bin(histogram: Histogram) -> int:
    """Take the bin farthest from the line peak - end of the longer tail (Zack, J Histochem Cytochem 25, 741 (1977))."""
    counts = histogram.counts.astype(np.float64)
    peak = int(np.argmax(counts))
    low, high = (int(n) for n in np.flatnonzero(counts)[[0, -1]])
    if peak - low < high - peak:
        steps = np.arange(high - peak)  # from the bright end towards the peak
        place = high - int(np.argmax(counts[peak] * steps - (high - peak) * counts[high - steps]))
    else:
        steps = np.arange(peak - low)
        place = low + int(np.argmax(counts[peak] * steps - (peak - low) * counts[low + steps]))
    return min(place, len(counts) - 2)


def isodata_bin(histogram: Histogram) -> int:
    """Take the lowest threshold half-way between its classes' means (Ridler, IEEE Trans. SMC 8, 630 (1978)).

    There is always one: the half-way value rises with the threshold, from above the first bin to below the last.
    """
    _, _, _, mean_below, mean_above = _classes(histogram)
    middle = (mean_below + mean_above) / 2
    fits = (histogram.centres[:-1] <= middle) & (middle < histogram.centres[1:])
    return int(np.argmax(fits))


def minimum_error_bin(histogram: Histogram) -> int:
    """Minimise the error of two Gaussians (Kittler and Illingworth, Pattern Recognition 19, 41 (1986), eq. 15).

    Every threshold is tried, so no start value matters.  A class's variance gets the variance within a bin (width
    squared / 12), so that a class of one value does not make the criterion minus infinity.
    """
    weight, below, above, mean_below, mean_above = _classes(histogram)
    values = histogram.centres - histogram.centres.mean()
    shift = histogram.centres.mean()
    squares = np.cumsum(weight * values**2)
    floor = float(np.diff(histogram.centres).min()) ** 2 / 12
    dark = np.maximum(squares[:-1] / below - (mean_below - shift) ** 2, 0) + floor
    bright = np.maximum((squares[-1] - squares[:-1]) / above - (mean_above - shift) ** 2, 0) + floor
    p, q = below / (below + above), above / (below + above)
    return int(np.argmin(p * np.log(dark) + q * np.log(bright) - 2 * (p * np.log(p) + q * np.log(q))))


def _classes(histogram: Histogram) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return (weights, voxels below, above, mean below, mean above) for a threshold after each bin but the last."""
    weight = histogram.counts.astype(np.float64)
    below = np.cumsum(weight)[:-1]
    above = weight.sum() - below
    moment = np.cumsum(weight * histogram.centres)
    return weight, below, above, moment[:-1] / below, (moment[-1] - moment[:-1]) / above


METHODS: dict[str, Callable[[Histogram], int]] = {
    "otsu": otsu_bin,
    "li": li_bin,
    "yen": yen_bin,
    "triangle": triangle_bin,
    "isodata": isodata_bin,
    "minimum_error": minimum_error_bin,
}


def first_bright_value(histogram: Histogram, method: str) -> float:
    """Return the smallest value of the brighter class.

    Parameters
    ----------
    histogram : Histogram
        Of at least two different values; its first and last bin are not empty.
    method : str
        Key of :data:`METHODS`.
    """
    # A power of two changes no digit, and keeps squares of huge or tiny values within the numbers there are.
    exponent = int(np.frexp(np.abs(histogram.centres).max())[1])
    if abs(exponent) > 300:
        scaled = replace(
            histogram, centres=np.ldexp(histogram.centres, -exponent), edges=np.ldexp(histogram.edges, -exponent)
        )
        return float(histogram.edges[METHODS[method](scaled) + 1])
    return float(histogram.edges[METHODS[method](histogram) + 1])
