"""Cropping to a region of interest."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn
from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings
from medai.core.volume import Volume

from ._base import Filter

Size = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Place = Annotated[int, Field(ge=-(10**9), le=10**9)]
ROUNDING = 1e-6
"""Voxels by which rounding may push a centre out of the region."""
FAR = 1e12
"""Millimetres and voxels beyond which no image reaches."""


class CropSettings(Settings):
    """The box that is kept."""

    box: Literal["roi", "voxels"] = Field(
        "roi", title="Box", description="A region in mm, as a Markups ROI gives it, or a range of voxels."
    )
    centre_ras: tuple[float, float, float] | None = Field(
        None, title="Centre", description="Centre of the region (R, A, S); empty: the middle of the image.",
        json_schema_extra={"unit": "mm"},
    )  # fmt: skip
    size_mm: tuple[Size, Size, Size] = Field(
        (100.0, 100.0, 100.0), title="Size", description="Size of the region along R, A, S.",
        json_schema_extra={"unit": "mm"},
    )  # fmt: skip
    first_ijk: tuple[Place, Place, Place] = Field(
        (0, 0, 0), title="First voxel", description="First voxel of the range along I, J, K, from 0.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip
    size_ijk: tuple[Count, Count, Count] = Field(
        (0, 0, 0), title="Voxels", description="Voxels kept along I, J, K; 0: all up to the end.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip


class Crop(Filter):
    """The part of the image inside a box; no value is changed or interpolated.

    ``roi`` keeps the voxels whose centres lie in the region, and at least one along each axis; of an oblique image,
    the smallest box of voxels that holds the region's corners.  A region that reaches outside is clipped to the
    image, and the result is flagged ``FOV_CLIPPED``.  The axis of a single slice is never cropped, so the region may
    lie above or below it: what counts of an X-ray picture is its plane.  The voxels' type is kept; colour works as
    well.
    """

    name = "crop"
    title = "Crop to a region"
    group = "Geometry"
    Settings = CropSettings
    changes_grid = True

    def apply(self, value: Volume, settings: CropSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Crop a scalar or colour volume; the voxels are a view.

        Raises
        ------
        InputError
            If the box lies outside the image.
        """
        grid = value.geometry
        low, high = _voxels(grid, settings) if settings.box == "voxels" else _region(grid, settings)
        size = np.asarray(grid.size)
        low, high = np.where(size == 1, 0, low), np.where(size == 1, 0, high)
        if (high < 0).any() or (low > size - 1).any():
            raise InputError(
                f"The region lies outside the image: voxels {low.tolist()} to {high.tolist()} (I, J, K) of an image of "
                f"{' x '.join(map(str, grid.size))}.",
                hint="Move the region into the image.",
            )
        start, stop = np.maximum(low, 0), np.minimum(high, size - 1) + 1
        i, j, k = (int(n) for n in stop - start)
        progress(0.5, self.title)
        result = value.crop((int(start[2]), int(start[1]), int(start[0])), (k, j, i))
        clipped = (start > low).any() or (stop - 1 < high).any()
        return result.with_flags(_CLIPPED) if clipped else result


_CLIPPED = QCFlag("FOV_CLIPPED", Severity.WARNING, "The region reaches outside the image and was clipped to it.")


def _voxels(grid: Geometry, settings: CropSettings) -> tuple[np.ndarray, np.ndarray]:
    low = np.asarray(settings.first_ijk, dtype=np.int64)
    count = np.asarray(settings.size_ijk, dtype=np.int64)
    return low, np.where(count == 0, np.maximum(low, np.asarray(grid.size) - 1), low + count - 1)


def _region(grid: Geometry, settings: CropSettings) -> tuple[np.ndarray, np.ndarray]:
    centre = grid.centre if settings.centre_ras is None else np.asarray(settings.centre_ras)
    half = np.asarray(settings.size_mm) / 2
    corners = np.array([(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) * half + centre
    # Far beyond any image numbers would overflow; the box stays outside, or around all of it.
    index = np.clip(grid.to_ijk(np.clip(corners, -FAR, FAR)), -FAR, FAR)
    low = np.ceil(index.min(axis=0) - ROUNDING)
    high = np.floor(index.max(axis=0) + ROUNDING)
    # Thinner than a voxel and between two centres: the voxel that holds its middle.
    middle = np.floor(index.mean(axis=0) + 0.5)
    thin = low > high
    return np.where(thin, middle, low).astype(np.int64), np.where(thin, middle, high).astype(np.int64)
