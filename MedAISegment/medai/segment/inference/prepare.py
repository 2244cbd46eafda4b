"""From an image to what a network reads; training and inference share these functions, so they cannot drift apart."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.resample import reorient_array, resample_array
from medai.core.settings import Settings
from medai.core.volume import Volume

FloatImage = npt.NDArray[np.float32]


class PrepareSettings(Settings):
    """Orientation, spacing and intensity that a model expects."""

    orientation: str = Field("RAS", pattern="^[LRPAIS]{3}$", description="Directions in which I, J, K grow.")
    spacing: tuple[float, float, float] = Field((1.0, 1.0, 1.0), description="Voxel size along I, J, K in mm.")
    normalise: Literal["zscore"] = Field("zscore", description="Clip to the percentiles, subtract mean, divide by SD.")
    percentiles: tuple[float, float] = Field((0.5, 99.5), description="Lower and upper clipping percentile.")

    @model_validator(mode="after")
    def _values_fit(self) -> PrepareSettings:
        if sorted("LPI".find(c) if c in "LPI" else "RAS".find(c) for c in self.orientation) != [0, 1, 2]:
            raise ValueError(f"orientation {self.orientation!r} does not name each of L/R, P/A, I/S once")
        if min(self.spacing) <= 0:
            raise ValueError(f"each spacing must be greater than 0 mm, given {self.spacing}")
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles must rise from 0 to 100, given {self.percentiles}")
        return self


def model_grid(geometry: Geometry, settings: PrepareSettings) -> Geometry:
    """Return the grid in the model's orientation and spacing that covers the image's box.

    Axes are permuted and flipped, never rotated: an oblique image stays oblique by less than 45 degrees.
    """
    view = np.broadcast_to(np.uint8(0), geometry.shape)
    grid = reorient_array(view, geometry, settings.orientation)[1]
    if np.allclose(grid.spacing, settings.spacing, rtol=0, atol=1e-3):
        return grid
    return grid.with_spacing(settings.spacing)


def on_grid(volume: Volume, grid: Geometry, settings: PrepareSettings) -> FloatImage:
    """Return the image's values on ``grid`` as float32; no interpolation where an axis swap is enough."""
    array, turned = reorient_array(volume.array, volume.geometry, settings.orientation)
    if turned.same_as(grid):
        return np.ascontiguousarray(array, dtype=np.float32)
    fill = float(volume.array.min())
    return resample_array(volume.array.astype(np.float32), volume.geometry, grid, "linear", fill)


def normalise(array: FloatImage, settings: PrepareSettings) -> FloatImage:
    """Clip to percentiles, then shift and scale to mean 0 and SD 1.

    Raises
    ------
    InputError
        If the values contain NaN or infinity, or are all the same.
    """
    if not np.isfinite(array).all():
        raise InputError("The region holds NaN or infinite voxels.", hint="Replace them before segmenting.")
    low, high = np.percentile(array, settings.percentiles)
    clipped = np.clip(array, low, high)
    mean, sd = float(clipped.mean(dtype=np.float64)), float(clipped.std(dtype=np.float64))
    if not sd > 1e-6 * max(1.0, abs(mean)):
        raise InputError(
            "Every voxel in the region has the same value.", hint="Check that the region lies in the image."
        )
    return np.asarray((clipped - mean) / sd, dtype=np.float32)
