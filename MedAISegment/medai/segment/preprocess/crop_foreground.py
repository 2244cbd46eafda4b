"""Cropping to what is brighter than a threshold, or to a segment."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from ..colour import LUMA
from ..histogram import histogram_of
from ..inside import InsideSettings, inside_mask
from ..slabs import for_slabs
from ._base import Filter

Array = npt.NDArray[Any]
SLAB_VOXELS = 1 << 21


class CropForegroundSettings(InsideSettings):
    """What counts as foreground."""

    by: Literal["otsu", "threshold", "segment"] = Field(
        "otsu", title="Foreground",
        description="Voxels above Otsu's threshold, above a fixed one, or the voxels of the segment 'inside'.",
    )  # fmt: skip
    threshold: float = Field(
        0.0, title="Threshold", description="Values greater than this are foreground, with 'threshold'."
    )
    margin_mm: float = Field(
        5.0, ge=0, le=1000, title="Margin", description="Kept around the foreground's box, inside the image.",
        json_schema_extra={"unit": "mm"},
    )  # fmt: skip


class CropForeground(Filter):
    """The smallest box that holds the foreground, and a margin around it; no value is changed.

    MONAI's ``CropForeground`` with the margin in mm (rounded up to whole voxels) and clipped to the image.  Otsu's
    threshold comes from the histogram.  With ``inside``, only that segment's voxels can be foreground.  Of a colour
    image the luminance decides (with other than three components: their mean).  A NaN voxel is never foreground; the
    axis of a single slice stays.  Without any foreground the image is returned whole, flagged ``MASK_EMPTY``.
    """

    name = "crop_foreground"
    title = "Crop to the foreground"
    group = "Geometry"
    Settings = CropForegroundSettings
    uses_labels = "optional"
    changes_grid = True

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: CropForegroundSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Crop a scalar or colour volume; the voxels are a view.

        Raises
        ------
        SettingsError
            If the foreground is to be a segment and none is named.
        InputError
            If the segment is not there, or Otsu's threshold finds fewer than two values.
        """
        if settings.by == "segment" and not settings.inside:
            raise SettingsError("crop_foreground.inside: name the segment that is the foreground.")
        mask = inside_mask(labels, settings.inside)
        if settings.by == "segment":
            assert mask is not None  # a name was given
            box = _box(mask.shape, lambda start, stop: mask[start:stop], progress, cancel, self.title)
        else:
            grey = _grey(value.array)
            limit = settings.threshold if settings.by == "threshold" else _otsu(grey, mask, cancel)
            progress(0.3, self.title)

            def part(start: int, stop: int) -> Array:
                found: Array = np.greater(grey[start:stop], limit)
                return found if mask is None else found & mask[start:stop]

            box = _box(value.geometry.shape, part, no_progress, cancel, self.title)
        if box is None:
            message = "No voxel counts as foreground; the image was not cropped."
            return value.with_flags(QCFlag("MASK_EMPTY", Severity.WARNING, message))
        margin = np.ceil(settings.margin_mm / np.asarray(value.geometry.spacing_kji) - 1e-6).astype(int)
        start = np.maximum(box[0] - margin, 0)
        stop = np.minimum(box[1] + margin, value.geometry.shape)
        k, j, i = (int(n) for n in start)
        return value.crop((k, j, i), (int(stop[0]) - k, int(stop[1]) - j, int(stop[2]) - i))


def _grey(array: Array) -> Array:
    if array.ndim == 3:
        return array
    count = array.shape[3]
    weights = LUMA if count == 3 else (1 / count,) * count
    return np.asarray(np.tensordot(array, np.asarray(weights, dtype=np.float32), axes=1))


def _otsu(grey: Array, mask: npt.NDArray[np.bool_] | None, cancel: CancelToken) -> float:
    """Return the value above which Otsu's brighter class begins."""
    from ..segmenters._thresholds import first_bright_value

    histogram = histogram_of(grey, mask, cancel=cancel)
    histogram.require_two_values("Otsu's threshold")
    return float(np.nextafter(first_bright_value(histogram, "otsu"), -np.inf))


def _box(
    shape: tuple[int, ...], part: Any, progress: ProgressFn, cancel: CancelToken, message: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return (first, one behind the last) voxel of the foreground along K, J, I; None if there is none."""

    def seen(start: int, stop: int) -> tuple[Array, Array]:
        found = part(start, stop)
        return found.any(axis=(1, 2)), found.any(axis=0)

    slab = max(1, SLAB_VOXELS // max(1, shape[1] * shape[2]))
    parts = for_slabs(shape[0], seen, slab=slab, progress=progress, cancel=cancel, message=message)
    slices = np.concatenate([p[0] for p in parts])
    plane = np.logical_or.reduce([p[1] for p in parts])
    if not slices.any():
        return None
    lines = [np.flatnonzero(line) for line in (slices, plane.any(axis=1), plane.any(axis=0))]
    return np.array([line[0] for line in lines]), np.array([line[-1] + 1 for line in lines])
