"""Edges as voxels of strong gradient."""

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
    edge_labels,
    magnitude,
    percentile_of_magnitude,
    require_moderate,
    slab_of,
    smoothed,
)


class GradientEdgesSettings(EdgeSettings):
    """How strong the gradient must be."""

    lower: float | None = Field(
        None, ge=0, title="Lower", description="Gradient per mm that an edge exceeds; none: from the percentile."
    )
    percentile: float = Field(
        90.0,
        ge=0,
        le=100,
        title="Percentile",
        description="Without a limit: the gradient that this part of the voxels does not exceed is the limit.",
        json_schema_extra={"unit": "%"},
    )


class GradientEdges(Segmenter):
    """Voxels whose gradient is larger than a limit: thick edges, for masks and as an input of other steps.

    The magnitude of the central differences per mm of the image smoothed by a Gaussian, as
    ``SimpleITK.GradientMagnitude`` of ``SimpleITK.DiscreteGaussian`` gives it, in float32.  The percentile is found to
    1 %.  Border voxels are repeated.  A single slice gets edges in its plane.  A NaN or infinite voxel counts as the
    image's smallest value and is never an edge.
    """

    name = "gradient_edges"
    title = "Gradient edges"
    group = "Edges"
    requires = ("scipy",)
    weight = 3.0
    Settings = GradientEdgesSettings

    def apply(
        self, value: Volume, settings: GradientEdgesSettings, *, progress: ProgressFn, cancel: CancelToken
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
            value, settings.sigma_mm, low, progress=sub_progress(progress, 0.0, 0.5), cancel=cancel, message=self.title
        )
        lower = settings.lower
        if lower is None:
            lower = percentile_of_magnitude(smooth, settings.percentile, spacing, cancel=cancel)
        mask = np.empty(smooth.shape, dtype=np.bool_)

        def part(start: int, stop: int) -> None:
            mask[start:stop] = magnitude(smooth, start, stop, spacing) > lower

        rest, slab = sub_progress(progress, 0.5, 1.0), slab_of(smooth.shape)
        for_slabs(len(smooth), part, slab=slab, progress=rest, cancel=cancel, message=self.title)
        return edge_labels(value, mask, settings.name, {"lower": lower})
