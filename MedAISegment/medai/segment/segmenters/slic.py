"""Supervoxels: small compact pieces of similar intensity, alone or put together to classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.volume import Volume

from ..anatomy import color_of
from ..boxes import bounding_box
from ..histogram import value_range
from ..inside import InsideSettings, inside_mask
from ..seeds import segments_of
from ..sitk_run import execute
from ..slabs import for_slabs
from ._base import Segmenter
from ._partition import best_partition

MOST_PIECES = 5000
"""More segments than this are too slow to show."""
MOST_VOXELS = 1 << 27
LEVELS = 4095
ITERATIONS = 10


class SlicSettings(InsideSettings):
    """How many pieces, of what shape, and what becomes of them."""

    pieces: int = Field(
        500, ge=2, le=MOST_PIECES, title="Pieces", description="About how many supervoxels the image is divided into."
    )
    compactness: float = Field(
        0.1,
        gt=0,
        le=100,
        title="Compactness",
        description="Weight of closeness in space against likeness, values scaled to 0 to 1; large: blocks.",
    )
    classes: int = Field(
        0,
        ge=0,
        le=16,
        title="Classes",
        description="Put the pieces together to so many classes of rising mean intensity; 0: every piece is a segment.",
    )


class Slic(Segmenter):
    """Simple linear iterative clustering (Achanta et al., IEEE PAMI 34, 2274 (2012)) with the grid's spacing.

    SimpleITK's ``SLICImageFilter`` (more than twice as fast as scikit-image's) on the values between the 1st and 99th
    percentile in 4,096 steps; ten iterations, every piece connected; the first centres lie on
    a grid of cubes in mm, so that anisotropic voxels give pieces that are as long along every axis.  Pieces are
    numbered by rising mean intensity, at most 5,000.  With ``classes``, the pieces' mean intensities, weighted by size,
    are divided by k-means, and the classes are the segments.  Takes about 20 bytes of memory a voxel, at most
    134,217,728 voxels (512^3).  With 'inside', its bounding box is divided and pieces are cut off at its surface.
    NaN and infinite voxels get no label.  A single slice is divided in its plane.

    ITK looks at Cancel after each iteration, some seconds on 512 x 512 x 100 voxels; ending the worker stops it at
    once.
    """

    name = "slic"
    title = "Supervoxels (SLIC)"
    group = "Clusters"
    uses_labels = "optional"
    weight = 20.0
    requires = ("SimpleITK",)
    Settings = SlicSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: SlicSettings, *, progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:  # fmt: skip
        """Segment a scalar volume.

        Raises
        ------
        InputError
            If the image has no finite value, or fewer pieces than classes come out.
        """
        value.require_scalar(self.title)
        mask = inside_mask(labels, settings.inside)
        box = (slice(None),) * 3 if mask is None else bounding_box(mask)
        assert box is not None
        array = value.array[box]
        if array.size > MOST_VOXELS:
            raise InputError(
                f"Supervoxels are made of at most {MOST_VOXELS} voxels at once, given {array.size}.",
                hint="Crop or resample the image, or name a segment to work inside.",
            )
        usable = np.isfinite(array) if mask is None else np.isfinite(array) & mask[box]
        pieces = _pieces(array, usable, value.geometry.spacing_kji, settings, sub_progress(progress, 0.02, 0.9), cancel)
        progress(0.9, self.title)
        sizes, sums = np.zeros(int(pieces.max()) + 1, dtype=np.int64), np.zeros(int(pieces.max()) + 1)
        for plane, known, number in zip(array, usable, pieces, strict=True):
            cancel.check()
            sizes += np.bincount(number.reshape(-1), minlength=len(sizes))
            sums += np.bincount(number.reshape(-1), np.where(known, plane, 0).reshape(-1), minlength=len(sizes))
        present = np.flatnonzero(sizes[1:]) + 1
        means = sums[present] / sizes[present]
        order = np.argsort(means, kind="stable")
        codes = np.zeros(len(sizes), dtype=np.uint16)
        codes[present[order]] = _classes(means[order], sizes[present[order]], settings)
        result = np.zeros(value.array.shape, dtype=np.uint16)
        result[box] = codes[pieces]
        return LabelMap(result, value.geometry, _segments(settings, len(present)))


def grid_size(shape: tuple[int, ...], spacing: tuple[float, ...], pieces: int) -> list[int]:
    """Return the voxels along K, J, I between the first centres: cubes in mm (squares, lines), about ``pieces``."""
    long = [axis for axis, n in enumerate(shape) if n > 1]
    size = float(np.prod([shape[axis] * spacing[axis] for axis in long]))
    side = (size / pieces) ** (1 / max(1, len(long)))
    return [max(1, min(n, round(side / s))) if n > 1 else 1 for n, s in zip(shape, spacing, strict=True)]


def _pieces(
    array: npt.NDArray[Any], usable: npt.NDArray[np.bool_], spacing: tuple[float, ...], settings: SlicSettings,
    progress: ProgressFn, cancel: CancelToken,
) -> npt.NDArray[Any]:  # fmt: skip
    """Return the number of the piece of each voxel, from 1; 0 where there is none."""
    import SimpleITK as sitk

    step = max(1, array.size // 1_000_000)  # percentiles of a million voxels are as good as of all
    seen = array.reshape(-1)[::step][usable.reshape(-1)[::step]].astype(np.float64)
    low, high = (float(v) for v in np.percentile(seen, (1, 99))) if seen.size else (0.0, 0.0)
    if not high > low:
        first, last, _, _ = value_range(array, usable, cancel)
        low, high = float(first), float(last)
    # Whole numbers: their sums are exact, in whatever order the threads add them, so that results repeat.
    scaled = np.zeros(array.shape, dtype=np.int16)

    def part(start: int, stop: int) -> None:
        values = np.where(usable[start:stop], array[start:stop], low).astype(np.float64)
        scaled[start:stop] = np.rint((np.clip(values, low, high) - low) * (LEVELS / ((high - low) or 1.0)))

    for_slabs(len(array), part, slab=max(1, (1 << 20) // array[0].size), progress=no_progress, cancel=cancel)
    method = sitk.SLICImageFilter()
    method.SetSuperGridSize(grid_size(array.shape, spacing, settings.pieces)[::-1])
    method.SetSpatialProximityWeight(settings.compactness * LEVELS)
    method.SetMaximumNumberOfIterations(ITERATIONS)
    method.SetEnforceConnectivity(True)
    image = sitk.GetImageFromArray(scaled)
    found = sitk.GetArrayFromImage(execute(method, image, progress=progress, cancel=cancel, message=Slic.title))
    found += 1
    found *= usable
    return np.asarray(found)


def _classes(means: npt.NDArray[Any], sizes: npt.NDArray[Any], settings: SlicSettings) -> npt.NDArray[Any]:
    """Return the label of each piece, pieces in order of rising mean."""
    if len(means) > MOST_PIECES:
        raise InputError(
            f"There are {len(means)} supervoxels; at most {MOST_PIECES} can be shown.", hint="Ask for fewer pieces."
        )
    if not settings.classes:
        return np.arange(1, len(means) + 1)
    values, place = np.unique(means, return_inverse=True)
    if len(values) < settings.classes:
        raise InputError(
            f"{settings.classes} classes need as many different supervoxels, and there are {len(values)}.",
            hint="Ask for more pieces or fewer classes.",
        )
    weights = np.bincount(place, sizes)
    if settings.classes == 1:
        return np.ones(len(means), dtype=np.int64)
    cuts = best_partition(values, weights.astype(np.float64), settings.classes)
    return np.asarray(np.searchsorted(cuts, place, side="right") + 1)


def _segments(settings: SlicSettings, pieces: int) -> tuple[Segment, ...]:
    if settings.classes:
        return segments_of([f"Class {n}" for n in range(1, settings.classes + 1)])
    return tuple(Segment(n, f"Piece {n}", color_of(n)) for n in range(1, pieces + 1))
