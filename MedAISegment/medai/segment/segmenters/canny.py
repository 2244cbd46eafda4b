"""Canny's edge detector in three dimensions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..slabs import for_slabs
from ._base import Segmenter
from ._gradient import (
    EdgeSettings,
    Floats,
    crosses_zero,
    edge_labels,
    gradient,
    padded,
    percentile_of_magnitude,
    require_moderate,
    slab_of,
    smoothed,
)
from ._runs import connected_parts, keep_of

ROWS = 64
"""Rows along J that are worked on at once: what is computed on the way then fits the processor's cache."""
TINY = np.float32(1e-4)
"""Added to the squared gradient, as ITK does, so that flat voxels divide by something."""
LOWER_PART = 0.4
"""Lower limit as a part of the upper one, if nobody gives it."""


class CannySettings(EdgeSettings):
    """How smooth and how strong an edge must be."""

    upper: float | None = Field(
        None, ge=0, title="Upper", description="Gradient per mm above which an edge begins; none: from the percentile."
    )
    lower: float | None = Field(
        None, ge=0, title="Lower", description="Gradient per mm above which an edge goes on; none: 0.4 x upper."
    )
    percentile: float = Field(
        90.0,
        ge=0,
        le=100,
        title="Percentile",
        description="Without an upper limit: the gradient that this part of the voxels does not exceed is the limit.",
        json_schema_extra={"unit": "%"},
    )

    @model_validator(mode="after")
    def _limits_fit(self) -> CannySettings:
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower {self.lower:g} is greater than upper {self.upper:g}")
        return self


class Canny(Segmenter):
    """Thin edges: Gaussian smoothing, maxima of the gradient along its own direction, hysteresis.

    The steps of ITK's ``CannyEdgeDetectionImageFilter`` (after Canny, IEEE Trans. PAMI 8, 679 (1986)): a voxel is a
    candidate if the second derivative along the gradient crosses zero there and the third is not positive; candidates
    above ``upper`` are edges, and so are those above ``lower`` that hang together with them (26 neighbours).
    Derivatives are per mm; on a grid of 1 mm the result equals ``SimpleITK.CannyEdgeDetection`` of a float32 image,
    but for voxels within rounding (1e-5) of a limit; on others SimpleITK's derivatives are per voxel.
    Border voxels are repeated.  A single slice gets edges in its plane.  A NaN or infinite voxel counts as the image's
    smallest value and is never an edge.
    """

    name = "canny"
    title = "Canny edges"
    group = "Edges"
    requires = ("scipy",)
    weight = 5.0
    Settings = CannySettings

    def apply(self, value: Volume, settings: CannySettings, *, progress: ProgressFn, cancel: CancelToken) -> LabelMap:
        """Find the edges of a scalar image.

        Raises
        ------
        InputError
            If the image holds no finite value, or one above 1e12.
        """
        strength, limits = _strength(value, settings, sub_progress(progress, 0.0, 0.8), cancel)
        mask = linked(strength, progress=sub_progress(progress, 0.8, 1.0), cancel=cancel)
        return edge_labels(value, mask, settings.name, limits)


def _strength(
    value: Volume, settings: CannySettings, progress: ProgressFn, cancel: CancelToken
) -> tuple[npt.NDArray[np.uint8], dict[str, float]]:
    """Return 1 for a candidate above ``lower``, 2 for one above ``upper``, else 0; and the two limits."""
    low = require_moderate(value, Canny.title, cancel)
    spacing = value.geometry.spacing_kji
    first = sub_progress(progress, 0.0, 0.4)
    smooth = smoothed(value, settings.sigma_mm, low, progress=first, cancel=cancel, message=Canny.title)
    upper = settings.upper
    if upper is None:
        upper = percentile_of_magnitude(smooth, settings.percentile, spacing, cancel=cancel)
    lower = LOWER_PART * upper if settings.lower is None else min(settings.lower, upper)
    strength = np.zeros(smooth.shape, dtype=np.uint8)

    def part(start: int, stop: int) -> None:
        for row in range(0, smooth.shape[1], ROWS):
            # Two rows more on each side are all that a voxel's result depends on.
            begin = max(0, row - 2)
            found = maxima(smooth[:, begin : row + ROWS + 2], start, stop, spacing)[:, row - begin :][:, :ROWS]
            strength[start:stop, row : row + ROWS] = (found > lower).view(np.uint8) + (found > upper).view(np.uint8)

    second, slab = sub_progress(progress, 0.4, 1.0), 2 * slab_of(smooth.shape)
    for_slabs(len(smooth), part, slab=slab, progress=second, cancel=cancel, message=Canny.title)
    return strength, {"lower": lower, "upper": upper}


def maxima(smooth: Floats, start: int, stop: int, spacing: tuple[float, float, float]) -> Floats:
    """Return the gradient's magnitude per mm at candidates for edges, 0 elsewhere, in slices ``start`` to ``stop``."""
    first, last = max(0, start - 1), min(len(smooth), stop + 1)
    around = padded(smooth, first, last)
    slopes = gradient(around, spacing)
    bend = along_gradient(around, slopes, spacing)
    # One slice more on each side; at the image's ends the last one again.
    bend = bend[np.clip(np.arange(start - 1, stop + 1), first, last - 1) - first]
    bend = np.pad(bend, ((0, 0), (1, 1), (1, 1)), mode="edge")
    change = gradient(bend, spacing)
    own = slice(start - first, stop - first)
    third, squares = np.zeros_like(change[0]), np.full_like(change[0], TINY)
    for slope, step in zip(slopes, change, strict=True):
        third += slope[own] * step
        squares += np.square(slope[own])
    np.sqrt(squares, out=squares)
    squares *= (third <= 0) & crosses_zero(bend)
    return squares


def along_gradient(around: Floats, slopes: tuple[Floats, ...], spacing: tuple[float, float, float]) -> Floats:
    """Return the second derivative in the direction of the gradient, of an array with one more voxel all around."""

    def at(**steps: int) -> Floats:
        begin = [1 + steps.get(axis, 0) for axis in "kji"]
        shape = zip(begin, around.shape, strict=True)
        return around[tuple(slice(a, n - 2 + a) for a, n in shape)]

    total = np.zeros_like(slopes[0])
    squares = np.full_like(slopes[0], TINY)
    for n, axis in enumerate("kji"):
        square = np.square(slopes[n])
        squares += square
        second = at(**{axis: 1}) + at(**{axis: -1})
        second -= 2 * at()
        second *= square
        second *= np.float32(1 / spacing[n] ** 2)
        total += second
    for a, b in ((0, 1), (0, 2), (1, 2)):
        one, other = "kji"[a], "kji"[b]
        mixed = at(**{one: 1, other: 1}) - at(**{one: 1, other: -1})
        mixed -= at(**{one: -1, other: 1})
        mixed += at(**{one: -1, other: -1})
        mixed *= slopes[a]
        mixed *= slopes[b]
        mixed *= np.float32(0.5 / (spacing[a] * spacing[b]))  # a quarter of the difference, twice
        total += mixed
    total /= squares
    return total


def linked(strength: npt.NDArray[np.uint8], *, progress: ProgressFn, cancel: CancelToken) -> npt.NDArray[np.bool_]:
    """Return the voxels of strength 1 or 2 that hang together (26 neighbours) with one of strength 2."""
    slab = slab_of(strength.shape)
    shape = (strength.shape[0], strength.shape[1], strength.shape[2])
    parts = connected_parts(
        lambda start, stop: strength[start:stop] > 0,
        shape,
        26,
        progress=sub_progress(progress, 0.0, 0.6),
        cancel=cancel,
    )

    def strong(start: int, stop: int) -> npt.NDArray[np.int32]:
        return parts.under(start, strength[start:stop] == 2)

    found = for_slabs(shape[0], strong, slab=slab, progress=sub_progress(progress, 0.6, 0.8), cancel=cancel)
    keep = keep_of(parts, np.concatenate(found))
    result = np.empty(shape, dtype=np.bool_)

    def fill(start: int, stop: int) -> None:
        result[start:stop] = parts.slices(start, stop, keep)

    for_slabs(shape[0], fill, slab=slab, progress=sub_progress(progress, 0.8, 1.0), cancel=cancel)
    return result
