"""Local threshold: each voxel against its surroundings, for images whose brightness drifts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..anatomy import named
from ..histogram import value_range
from ..inside import InsideSettings, inside_mask
from ..slabs import for_slabs
from ._base import Segmenter
from ._flags import empty_flags

Array = npt.NDArray[Any]
TILE_VOXELS = 1 << 19
MEDIAN_WORK = 1 << 24
"""Voxels times block size in a call of the median, the slowest method: about a second."""
MEDIAN_LIMIT = 24 * MEDIAN_WORK
"""Beyond, a call cannot be stopped in time: tiles are no smaller than twice the block."""
ROUNDING = {"float32": 1e-6, "float64": 1e-9}
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
        SettingsError
            If the block of a median is so large that it would take hours.
        """
        value.require_scalar(self.title)
        array = value.array
        mask = inside_mask(labels, settings.inside)
        low, high, _, ignored = value_range(array, None, cancel)
        progress(0.05, self.title)
        size = block_size(value, settings)
        local, reach, dtype = _function(settings, size, (float(high) - float(low)) / 2, array.dtype)
        result = np.empty(array.shape, dtype=np.uint8)
        border = "mirror" if settings.method in ("niblack", "sauvola") else "reflect"
        tiles = tiles_of(array.shape, reach, MEDIAN_WORK // int(np.prod(size)) if settings.method == "median" else 0)

        if settings.method == "median":
            _require_bearable(tiles, reach, size, array.shape[2])

        def part(first: int, last: int) -> None:
            for k, j in tiles[first:last]:
                values = _beside(_beside(array, k, reach[0], 0, border), j, reach[1], 1, border).astype(dtype)
                if ignored:
                    values = np.where(np.isfinite(values), values, dtype.type(low))
                core = (slice(reach[0], values.shape[0] - reach[0]), slice(reach[1], values.shape[1] - reach[1]))
                threshold = local(values)[core] - dtype.type(settings.offset)
                bright = values[core] > threshold + ROUNDING[dtype.name] * np.abs(threshold)
                found = bright if settings.side == "brighter" else ~bright
                if ignored:
                    found &= np.isfinite(array[k, j])
                if mask is not None:
                    found &= mask[k, j]
                result[k, j] = found

        for_slabs(
            len(tiles), part, slab=1, progress=sub_progress(progress, 0.05, 0.95), cancel=cancel, message=self.title
        )
        made = LabelMap(result, value.geometry, (named(1, settings.name),))
        return made.replace(flags=empty_flags(made, "No voxel differs from its surroundings."))


def block_size(value: Volume, settings: LocalThresholdSettings) -> tuple[int, int, int]:
    """Return the block's voxels along K, J, I: odd, at least 3, and 1 along axes that are not looked along."""
    sizes = []
    for axis, (count, spacing) in enumerate(zip(value.geometry.shape, value.geometry.spacing_kji, strict=True)):
        flat = count == 1 or (axis == 0 and settings.dimensions == "2D")
        if not flat and settings.block_mm / spacing > max(4 * count, 1000):
            # The time grows with the block, and cannot be stopped inside a tile.
            raise SettingsError(
                f"local_threshold.block_mm: {settings.block_mm:g} mm is too wide for an axis of "
                f"{count * spacing:.3g} mm.",
                hint=f"Use at most {max(4 * count, 1000) * spacing:.3g} mm.",
            )
        sizes.append(1 if flat else 2 * max(1, round((settings.block_mm / spacing - 1) / 2)) + 1)
    return sizes[0], sizes[1], sizes[2]


def _function(
    settings: LocalThresholdSettings, size: tuple[int, int, int], half_range: float, dtype: np.dtype[Any]
) -> tuple[Callable[[Array], Array], tuple[int, int], np.dtype[Any]]:
    """Return what computes the thresholds of a tile, how many voxels beside it it needs along K and J, and its type."""
    from scipy.ndimage import gaussian_filter, uniform_filter

    radius = (size[0] // 2, size[1] // 2)
    # What float32 holds exactly is averaged in it, as scikit-image does with float32; squares need more digits.
    single = np.dtype(np.float32 if dtype.itemsize <= 2 or (dtype.kind, dtype.itemsize) == ("f", 4) else np.float64)
    if settings.method == "mean":
        return (lambda values: np.asarray(uniform_filter(values, size, mode="reflect"))), radius, single
    if settings.method == "median":
        return (lambda values: _median(values, size)), radius, single
    if settings.method == "gaussian":
        sigma = [(n - 1) / 6 for n in size]
        reach = (int(4.0 * sigma[0] + 0.5), int(4.0 * sigma[1] + 0.5))
        return (
            (lambda values: np.asarray(gaussian_filter(values, sigma, mode="reflect", truncate=4.0))),
            reach,
            single,
        )
    limit = settings.r or half_range or 1.0

    def with_spread(values: Array) -> Array:
        # Squares of what is left after subtracting a value lose fewest digits.
        centre = float(values.mean())
        mean = uniform_filter(values - centre, size, mode="mirror")
        square = uniform_filter(np.square(values - centre), size, mode="mirror")
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        mean += centre
        if settings.method == "niblack":
            return np.asarray(mean - settings.k * spread)
        return np.asarray(mean * (1 + settings.k * (spread / limit - 1)))

    return with_spread, radius, np.dtype(np.float64)


def _median(values: Array, size: tuple[int, int, int]) -> Array:
    """Return the median of each block; SimpleITK takes half of SciPy's time, and SciPy's border is added by hand."""
    import SimpleITK as sitk

    radius = [n // 2 for n in size]
    # A tile has its neighbours along K and J beside it already; what lies there is not kept.
    wide = np.pad(values, [(0, 0), (0, 0), (radius[2], radius[2])], mode="symmetric")
    found = sitk.GetArrayFromImage(sitk.Median(sitk.GetImageFromArray(wide), radius[::-1]))
    return np.asarray(found[:, :, radius[2] : wide.shape[2] - radius[2]])


def _require_bearable(
    tiles: list[tuple[slice, slice]], reach: tuple[int, int], size: tuple[int, int, int], width: int
) -> None:
    """Refuse a block of which a single tile keeps ITK busy for many seconds, and the image for hours."""
    k, j = tiles[0]
    voxels = (k.stop - k.start + 2 * reach[0]) * (j.stop - j.start + 2 * reach[1]) * (width + 2 * (size[2] // 2))
    if voxels * int(np.prod(size)) > MEDIAN_LIMIT:
        raise SettingsError(
            f"local_threshold.block_mm: a median of {' x '.join(map(str, size[::-1]))} voxels would take hours.",
            hint="Use a smaller block, 2D, or the method gaussian or mean.",
        )


def tiles_of(shape: tuple[int, ...], reach: tuple[int, int], work: int = 0) -> list[tuple[slice, slice]]:
    """Cut an image into tiles along K and J.

    A tile that must look along K is six times as long as its reach along both axes, so that little is computed twice;
    twice as long where a limit of work is set.

    Parameters
    ----------
    shape : tuple of int
        Voxels (K, J, I).
    reach : tuple of int
        Voxels beside a tile that it needs along K and J.
    work : int
        Most voxels of a tile, if it is less than what memory allows.
    """
    most = min(TILE_VOXELS, work or TILE_VOXELS)
    deep, high = max(1, most // (shape[1] * shape[2])), shape[1]
    if reach[0]:
        share, least = (2, 8) if work else (6, 16)
        deep, high = max(least, share * reach[0]), max(least, share * reach[1])
    elif deep == 1:
        high = max(1, most // shape[2])
    return [
        (slice(k, min(k + deep, shape[0])), slice(j, min(j + high, shape[1])))
        for k in range(0, shape[0], deep)
        for j in range(0, shape[1], high)
    ]


def _beside(array: Array, part: slice, reach: int, axis: int, border: str) -> Array:
    """Return a part of an axis and ``reach`` voxels beside it, mirrored about the edge or the last voxel's middle."""
    size = array.shape[axis]
    low, high = part.start - reach, part.stop + reach
    cut: list[Any] = [slice(None)] * array.ndim
    if low >= 0 and high <= size:
        cut[axis] = slice(low, high)
        return np.asarray(array[tuple(cut)])
    index = np.arange(low, high)
    if border == "mirror":
        index = np.mod(index, max(1, 2 * (size - 1)))
        index = np.minimum(index, 2 * (size - 1) - index)
    else:
        index = np.mod(index, 2 * size)
        index = np.minimum(index, 2 * size - 1 - index)
    return np.asarray(np.take(array, index, axis=axis))
