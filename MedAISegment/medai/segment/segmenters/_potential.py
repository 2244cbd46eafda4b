"""How easily a contour passes a voxel: 1 in flat regions, towards 0 at edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, no_progress
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..slabs import for_slabs
from ._box import Box
from ._gradient import Floats, kernel, magnitude, slab_of, smoothed


class PotentialSettings(Settings):
    """Base of the settings of segmenters that stop at edges."""

    sigma_mm: float = Field(
        1.0,
        ge=0,
        le=100,
        title="Sigma",
        description="Standard deviation of the Gaussian smoothing before the gradient is taken; 0: none.",
        json_schema_extra={"unit": "mm"},
    )
    edge: float | None = Field(
        None,
        gt=0,
        title="Edge",
        description="Gradient per mm at which the contour has half its speed; none: from the start by the edge factor.",
    )
    edge_factor: float = Field(
        3.0,
        gt=0,
        le=1000,
        title="Edge factor",
        description="Without an edge: it is this many times the median gradient where the contour starts.",
    )


def potential(
    volume: Volume,
    box: Box,
    start: npt.NDArray[np.bool_],
    settings: PotentialSettings,
    low: float,
    cancel: CancelToken,
) -> tuple[Floats, float]:
    """Return 1 / (1 + (gradient / edge)^2) in a box (Perona and Malik's second function), float32, and the edge.

    The gradient is that of :mod:`._gradient`, with all voxels around the box that it depends on; NaN and infinite
    voxels have the potential 0.

    Parameters
    ----------
    start : array of bool, shape of the box
        Where the contour starts.  If the image is flat there, the edge is a hundredth of the box's steepest gradient.
    low : float
        What a voxel without a value counts as.
    """
    wide: list[slice] = []
    own: list[slice] = []
    for part, size, spacing in zip(box, volume.geometry.shape, volume.geometry.spacing_kji, strict=True):
        halo = 1
        if size > 1 and settings.sigma_mm > 0:
            halo += len(kernel((settings.sigma_mm / spacing) ** 2)) // 2
        wide.append(slice(max(0, part.start - halo), min(size, part.stop + halo)))
        own.append(slice(part.start - wide[-1].start, part.stop - wide[-1].start))
    array = volume.array[tuple(wide)]
    cut = Volume(array, Geometry.from_spacing(array.shape, volume.geometry.spacing))
    smooth = smoothed(cut, settings.sigma_mm, low, progress=no_progress, cancel=cancel)
    spacing_kji = volume.geometry.spacing_kji
    result: Floats = np.empty(tuple(part.stop - part.start for part in own), dtype=np.float32)
    first = own[0].start

    def steepness(begin: int, end: int) -> float:
        steep = magnitude(smooth, begin + first, end + first, spacing_kji)[:, own[1], own[2]]
        result[begin:end] = steep
        return float(steep.max())

    slab = slab_of(smooth.shape)
    steepest = max(for_slabs(len(result), steepness, slab=slab, progress=no_progress, cancel=cancel))
    edge = settings.edge or settings.edge_factor * float(np.median(result[start])) or steepest / 100 or 1.0

    def part_of(begin: int, end: int) -> None:
        here = result[begin:end]
        here *= np.float32(1 / edge)
        np.square(here, out=here)
        here += 1
        np.reciprocal(here, out=here)
        if array.dtype.kind == "f":
            here[~np.isfinite(array[own[0]][begin:end, own[1], own[2]])] = 0

    for_slabs(len(result), part_of, slab=slab, progress=no_progress, cancel=cancel)
    return result, edge
