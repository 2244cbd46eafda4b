"""Local threshold: each voxel against its surroundings, for images whose brightness drifts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..anatomy import named
from ..histogram import value_range
from ..inside import InsideSettings, inside_mask
from ..slabs import for_slabs, with_halo
from ._base import Segmenter
from ._flags import empty_flags

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
SLAB_VOXELS = 1 << 18
MEDIAN_WORK = 1 << 24
"""Voxels times block size in a call of the median, the slowest method: about a second."""
ROUNDING = 1e-9
"""A voxel that differs from its threshold by less than this share of it counts as equal: flat areas stay empty."""


class LocalThresholdSettings(InsideSettings):
    """What a voxel is compared with."""

    method: Literal["mean", "gaussian", "median", "niblack", "sauvola"] = Field(
        "gaussian",
        title="Method",
        description="Of the block around a voxel: mean, Gaussian-weighted mean, median; or mean and standard deviation "
        "together (Niblack, Sauvola).",
    )
    block_mm: float = Field(
        15.0,
        gt=0,
        le=200,
        title="Block",
        description="Width of the block, rounded to an odd number of voxels, at least 3.",
        json_schema_extra={"unit": "mm"},
    )
    dimensions: Literal["2D", "3D"] = Field("2D", title="Dimensions", description="A square in each slice, or a cube.")
    offset: float = Field(
        0.0,
        title="Offset",
        description="Subtracted from the threshold, in the image's values: with less than 0 fewer voxels are bright.",
    )
    k: float = Field(0.2, ge=-5, le=5, title="k", description="Weight of the standard deviation (Niblack, Sauvola).")
    r: float | None = Field(
        None,
        gt=0,
        title="R",
        description="Largest standard deviation to expect (Sauvola); none: half the image's range.",
    )
    side: Literal["brighter", "darker"] = Field(
        "brighter", title="Side", description="Which voxels are the segment: those above the threshold, or the others."
    )
    name: str = Field("Foreground", min_length=1, max_length=64, title="Name", description="Name of the segment.")


class LocalThreshold(Segmenter):
    """Voxels brighter than a threshold that is computed around each of them.

    mean, gaussian (SD a sixth of the block's width less one), median: ``skimage.filters.threshold_local``; Niblack:
    mean - k SD; Sauvola: mean (1 + k (SD / R - 1)), as ``threshold_niblack`` and ``threshold_sauvola``; all less the
    offset.  Beyond the border the image is mirrored about the edge of its last voxel (for Niblack and Sauvola about
    the voxel itself), as often as the block needs.  A single slice is looked at in its plane.  A voxel must exceed its
    threshold by more than rounding.  NaN and infinite voxels get no label and count as the smallest value for their
    neighbours.
    """

    name = "local_threshold"
    title = "Local threshold"
    group = "Threshold"
    uses_labels = "optional"
    weight = 5.0
    requires = ("scipy", "SimpleITK")
    Settings = LocalThresholdSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: LocalThresholdSettings, *, progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:  # fmt: skip
        """Segment a scalar volume.

        Raises
        ------
        InputError
            If the image holds no finite value.
        """
        value.require_scalar(self.title)
        array = value.array
        mask = inside_mask(labels, settings.inside)
        low, high, _, ignored = value_range(array, None, cancel)
        progress(0.05, self.title)
        size = block_size(value, settings)
        local, halo = _function(settings, size, (float(high) - float(low)) / 2)
        result = np.empty(array.shape, dtype=np.uint8)
        border = "mirror" if settings.method in ("niblack", "sauvola") else "reflect"

        def part(start: int, stop: int) -> None:
            values = _slab(array, start, stop, halo, border).astype(np.float64)
            if ignored:
                values = np.where(np.isfinite(values), values, float(low))
            threshold = local(values)[halo : len(values) - halo] - settings.offset
            own = values[halo : len(values) - halo]
            bright = own > threshold + ROUNDING * np.abs(threshold)
            found = bright if settings.side == "brighter" else ~bright
            if ignored:
                found &= np.isfinite(array[start:stop])
            if mask is not None:
                found &= mask[start:stop]
            result[start:stop] = found

        work = SLAB_VOXELS if settings.method != "median" else MEDIAN_WORK // int(np.prod(size))
        slab = max(1, work // max(1, array[0].size))
        for_slabs(
            len(array), part, slab=slab, progress=sub_progress(progress, 0.05, 0.95), cancel=cancel, message=self.title
        )
        made = LabelMap(result, value.geometry, (named(1, settings.name),))
        return made.replace(flags=empty_flags(made, "No voxel differs from its surroundings."))


def block_size(value: Volume, settings: LocalThresholdSettings) -> tuple[int, int, int]:
    """Return the block's voxels along K, J, I: odd, at least 3, and 1 along axes that are not looked along."""
    sizes = []
    for axis, (count, spacing) in enumerate(zip(value.geometry.shape, value.geometry.spacing_kji, strict=True)):
        flat = count == 1 or (axis == 0 and settings.dimensions == "2D")
        sizes.append(1 if flat else 2 * max(1, round((settings.block_mm / spacing - 1) / 2)) + 1)
    return sizes[0], sizes[1], sizes[2]


def _function(
    settings: LocalThresholdSettings, size: tuple[int, int, int], half_range: float
) -> tuple[Callable[[Floats], Floats], int]:
    """Return what computes the thresholds of a slab, and how many slices it needs on either side."""
    from scipy.ndimage import gaussian_filter, uniform_filter

    radius = size[0] // 2
    if settings.method == "mean":
        return (lambda values: np.asarray(uniform_filter(values, size, mode="reflect"))), radius
    if settings.method == "median":
        return (lambda values: _median(values, size)), radius
    if settings.method == "gaussian":
        sigma = [(n - 1) / 6 for n in size]
        return (
            lambda values: np.asarray(gaussian_filter(values, sigma, mode="reflect", truncate=4.0)),
            int(4.0 * sigma[0] + 0.5),
        )
    limit = settings.r or half_range or 1.0

    def with_spread(values: Floats) -> Floats:
        # Squares of what is left after subtracting a value lose fewest digits.
        centre = float(values.mean())
        mean = uniform_filter(values - centre, size, mode="mirror")
        square = uniform_filter(np.square(values - centre), size, mode="mirror")
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        mean += centre
        if settings.method == "niblack":
            return np.asarray(mean - settings.k * spread)
        return np.asarray(mean * (1 + settings.k * (spread / limit - 1)))

    return with_spread, radius


def _median(values: Floats, size: tuple[int, int, int]) -> Floats:
    """Return the median of each block; SimpleITK takes half of SciPy's time, and SciPy's border is added by hand."""
    import SimpleITK as sitk

    radius = [n // 2 for n in size]
    wide = np.pad(values, [(r, r) for r in radius], mode="symmetric")
    image = sitk.GetImageFromArray(wide.astype(np.float32) if _fits_float32(wide) else wide)
    found = sitk.GetArrayFromImage(sitk.Median(image, radius[::-1]))
    cut = tuple(slice(r, n - r) for r, n in zip(radius, wide.shape, strict=True))
    return np.asarray(found[cut], dtype=np.float64)


def _fits_float32(values: Floats) -> bool:
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float32) == values).all())


def _slab(array: Array, start: int, stop: int, halo: int, border: str) -> Array:
    if border == "reflect" or halo == 0:
        return with_halo(array, start, stop, halo)
    size = len(array)
    index = np.mod(np.arange(start - halo, stop + halo), 2 * (size - 1))
    return np.asarray(array[np.minimum(index, 2 * (size - 1) - index)])
