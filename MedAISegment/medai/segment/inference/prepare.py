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


class Normalise(Settings):
    """One change of a channel's values; a channel has a chain of them."""

    method: Literal["clip", "clip_percentiles", "shift_scale", "zscore", "range", "percentile_range"] = Field(
        description=(
            "clip: to low..high. clip_percentiles: to the percentiles low..high. shift_scale: (x - mean) / sd with the "
            "given numbers. zscore: (x - mean) / sd of the image's own values. range: low..high (None: the image's own "
            "minimum, maximum) to out_low..out_high. percentile_range: the same with percentiles low..high."
        )
    )
    low: float | None = None
    high: float | None = None
    mean: float = 0.0
    sd: float = Field(1.0, gt=0)
    out_low: float = 0.0
    out_high: float = 1.0
    clip: bool = Field(False, description="For range and percentile_range: clip to out_low..out_high.")
    over: Literal["image", "nonzero", "filled"] = Field(
        "image",
        description=(
            "Voxels that are measured and changed. nonzero: those of this channel that are not 0 (MONAI). filled: "
            "where any channel is not 0, holes filled (nnU-Net's mask); the others stay as they are."
        ),
    )


class ChannelEntry(Settings):
    """One input channel of a network."""

    name: str = Field("", max_length=64, description="What the channel holds, such as CT or T2.")
    modality: str = Field("", max_length=16, description="DICOM modality, empty for any.")
    normalise: tuple[Normalise, ...] = Field((), max_length=8, description="Changes of the values, in this order.")


class PrepareSettings(Settings):
    """Orientation, spacing and intensity that a model expects.

    ``orientation`` also carries the axis order of networks that do not read K, J, I: MONAI reads an RAS image as
    (R, A, S), so that K grows to R, J to A and I to S, which is the orientation ``SAR``.
    """

    orientation: str = Field("RAS", pattern="^[LRPAIS]{3}$", description="Directions in which I, J, K grow.")
    spacing: tuple[float, float, float] | None = Field(
        (1.0, 1.0, 1.0), description="Voxel size along I, J, K in mm; None keeps the image's."
    )
    keep_slices: bool = Field(
        False, description="Slices along K stay as they are (2D networks): only the spacing along I and J is changed."
    )
    grid: Literal["cover", "edges", "centres"] = Field(
        "cover",
        description=(
            "Where the voxels of another spacing lie. cover: exact spacing, centred, rounded up. edges: "
            "round(size * old / new) voxels between the image's outer edges (nnU-Net, scikit-image). centres: exact "
            "spacing from the first voxel's centre on (MONAI)."
        ),
    )
    interpolate: Literal["linear", "cubic"] = Field("linear", description="How values on the new grid are made.")
    anisotropy: float = Field(
        0.0,
        ge=0,
        description="Spacing ratio above which the coarsest axis is sampled by nearest neighbour; 0: never.",
    )
    crop: Literal["none", "nonzero", "body", "positive"] = Field(
        "none",
        description=(
            "Box that the network sees: all, around the voxels that are not 0 (nnU-Net), around the body (CT); "
            "positive: around what is above 0 in any channel after all other changes (MONAI's CropForegroundd)."
        ),
    )
    normalise_first: bool = Field(False, description="Normalise before the spacing is changed (nnU-Net).")
    channels: tuple[ChannelEntry, ...] = Field(
        (), max_length=64, description="Input channels; if empty, one, normalised as 'normalise' says."
    )
    normalise: Literal["zscore"] = Field("zscore", description="Clip to the percentiles, subtract mean, divide by SD.")
    percentiles: tuple[float, float] = Field((0.5, 99.5), description="Lower and upper clipping percentile.")

    @model_validator(mode="after")
    def _values_fit(self) -> PrepareSettings:
        if sorted("LPI".find(c) if c in "LPI" else "RAS".find(c) for c in self.orientation) != [0, 1, 2]:
            raise ValueError(f"orientation {self.orientation!r} does not name each of L/R, P/A, I/S once")
        if self.spacing is not None and min(self.spacing) <= 0:
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
    wanted = settings.spacing
    if wanted is not None and settings.keep_slices:
        wanted = (wanted[0], wanted[1], grid.spacing[2])
    if wanted is None or np.allclose(grid.spacing, wanted, rtol=0, atol=1e-3):
        return grid
    return grid.with_spacing(wanted)


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
