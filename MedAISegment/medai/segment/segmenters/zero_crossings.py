"""Edges where the Laplacian of the smoothed image crosses zero."""

from __future__ import annotations

import numpy as np
from pydantic import Field

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
    magnitude,
    padded,
    percentile_of_magnitude,
    require_moderate,
    slab_of,
    smoothed,
)


class ZeroCrossingsSettings(EdgeSettings):
    """How smooth and how steep an edge must be."""

    sigma_mm: float = Field(
        2.0,
        ge=0,
        le=100,
        title="Sigma",
        description="Standard deviation of the Gaussian smoothing; 0: none.",
        json_schema_extra={"unit": "mm"},
    )
    lower: float | None = Field(
        None, ge=0, title="Lower", description="Gradient per mm that an edge exceeds; none: from the percentile."
    )
    percentile: float = Field(
        80.0,
        ge=0,
        le=100,
        title="Percentile",
        description="Without a limit: the gradient that this part of the voxels does not exceed is the limit; 0: every "
        "crossing.",
        json_schema_extra={"unit": "%"},
    )


class ZeroCrossings(Segmenter):
    """Edges where the Laplacian of Gaussian changes its sign (Marr and Hildreth), if the gradient is steep enough.

    The crossings equal ``SimpleITK.ZeroCrossingBasedEdgeDetection`` (maximum error 0.01) of a float32 image; noise
    crosses zero everywhere, so only those are kept whose gradient exceeds a limit (none with percentile 0).
    Marr and Hildreth, Proc. R. Soc. Lond. B 207, 187 (1980).  The crossings close around every region, unlike Canny's
    edges.  Border voxels are repeated.  A single slice gets edges in its plane.  A NaN or infinite voxel counts as
    the image's smallest value and is never an edge.
    """

    name = "zero_crossings"
    title = "Zero crossings of the Laplacian"
    group = "Edges"
    requires = ("scipy",)
    weight = 3.0
    Settings = ZeroCrossingsSettings

    def apply(
        self, value: Volume, settings: ZeroCrossingsSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Find the edges of a scalar image.

        Raises
        ------
        InputError
            If the image holds no finite value, or one above 1e12.
        """
        low = require_moderate(value, self.title, cancel)
        spacing = value.geometry.spacing_kji
        smooth = smoothed(
            value, settings.sigma_mm, low, progress=sub_progress(progress, 0.0, 0.4), cancel=cancel, message=self.title
        )
        lower = settings.lower
        if lower is None and settings.percentile > 0:
            lower = percentile_of_magnitude(smooth, settings.percentile, spacing, cancel=cancel)
        mask = np.empty(smooth.shape, dtype=np.bool_)

        def part(start: int, stop: int) -> None:
            first, last = max(0, start - 1), min(len(smooth), stop + 1)
            bend = laplacian(padded(smooth, first, last), spacing)
            bend = bend[np.clip(np.arange(start - 1, stop + 1), first, last - 1) - first]
            found = crosses_zero(np.pad(bend, ((0, 0), (1, 1), (1, 1)), mode="edge"))
            if lower is not None:
                found &= magnitude(smooth, start, stop, spacing) > lower
            mask[start:stop] = found

        rest, slab = sub_progress(progress, 0.4, 1.0), slab_of(smooth.shape)
        for_slabs(len(smooth), part, slab=slab, progress=rest, cancel=cancel, message=self.title)
        return edge_labels(value, mask, settings.name, {"lower": lower})


def laplacian(around: Floats, spacing: tuple[float, float, float]) -> Floats:
    """Return the sum of second differences per mm2 of an array with one more voxel all around."""
    centre = around[1:-1, 1:-1, 1:-1]
    total = np.zeros_like(centre)
    for axis in range(3):
        ahead = around[tuple(slice(2, None) if a == axis else slice(1, -1) for a in range(3))]
        behind = around[tuple(slice(0, -2) if a == axis else slice(1, -1) for a in range(3))]
        second = ahead + behind
        second -= 2 * centre
        second *= np.float32(1 / spacing[axis] ** 2)
        total += second
    return total
