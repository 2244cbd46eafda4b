"""Geodesic active contours: a surface that grows, stays smooth, and is drawn to edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import UnsupportedInput
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..sitk_run import execute
from ._base import Segmenter
from ._box import box_around
from ._gradient import Floats, require_moderate
from ._potential import PotentialSettings, potential
from ._start import StartSettings, finish, start_regions


class GeodesicActiveContourSettings(StartSettings, PotentialSettings):
    """What moves the surface, and how long."""

    propagation: float = Field(
        1.0,
        ge=-100,
        le=100,
        title="Propagation",
        description="Speed outwards in flat regions; below 0 the surface shrinks, 0: edges and smoothness alone.",
    )
    curvature: float = Field(
        0.5, ge=0, le=100, title="Curvature", description="How much the surface is smoothed as it moves."
    )
    advection: float = Field(
        1.0, ge=0, le=100, title="Advection", description="How much the surface is drawn to edges nearby."
    )
    iterations: int = Field(200, ge=1, le=100000, title="Iterations", description="Steps of at most half a voxel each.")
    max_rms: float = Field(
        0.01, ge=0, le=1, title="Largest change", description="It ends early when the mean change of a step is smaller."
    )


class GeodesicActiveContour(Segmenter):
    """Moves the surface of a start region by propagation, curvature and attraction to edges.

    Caselles, Kimmel and Sapiro, Int. J. Computer Vision 22, 61 (1997), as ITK's
    ``GeodesicActiveContourLevelSetImageFilter`` solves it: the level set starts as the signed distance in mm to the
    start region's surface, and the edge potential is 1 / (1 + (gradient / edge)^2) of the smoothed image.  It equals
    ``SimpleITK.GeodesicActiveContourLevelSet`` on the box (start region and margin), outside of which nothing is
    looked at.  The start is the segments so far, or balls around seeds; several segments are moved one after the other
    and never enter each other or each other's start.  A single slice is moved in its plane.  NaN and infinite voxels
    have the potential 0 and never belong.
    """

    name = "geodesic_active_contour"
    title = "Geodesic active contour"
    group = "Edges"
    requires = ("scipy", "SimpleITK")
    uses_labels = "optional"
    weight = 20.0
    Settings = GeodesicActiveContourSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: GeodesicActiveContourSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Move each segment's surface.

        Raises
        ------
        InputError
            If there is no start region, or the image holds no finite value or one above 1e12.
        UnsupportedInput
            If an axis has two or three voxels, or fewer than two axes have more: ITK's derivatives need four.
        """
        low = require_moderate(value, self.title, cancel)
        if sum(size > 3 for size in value.geometry.shape) < 2 or {2, 3} & set(value.geometry.shape):
            raise UnsupportedInput(
                f"{self.title} needs axes of at least 4 voxels, or one slice of them, given {value.geometry.shape}."
            )
        start = start_regions(value.geometry, labels, settings, self.title)
        result = np.zeros_like(start.array)
        edges: dict[str, float] = {}
        for number, segment in enumerate(start.segments):
            own = start.array == segment.label
            # The level set's derivatives need voxels on both sides of the start region.
            margin = max(settings.margin_mm, 3 * max(value.geometry.spacing))
            box = box_around(own, value.geometry, margin)
            speed, edges[segment.name] = potential(value, box, own[box], settings, low, cancel)
            taken = ((start.array[box] > 0) & ~own[box]) | (result[box] > 0)
            speed[taken] = 0
            moved = evolve(
                speed,
                own[box],
                value.geometry.spacing_kji,
                settings,
                progress=sub_progress(progress, number / len(start.segments), (number + 1) / len(start.segments)),
                cancel=cancel,
                message=self.title,
            )
            moved &= ~taken
            if value.array.dtype.kind == "f":
                moved &= np.isfinite(value.array[box])
            result[box][moved] = segment.label
        found = finish(start, result, value.geometry, settings)
        return found.replace(meta={"edge": edges})


def evolve(
    speed: Floats,
    own: npt.NDArray[np.bool_],
    spacing_kji: tuple[float, float, float],
    settings: GeodesicActiveContourSettings,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> npt.NDArray[np.bool_]:
    """Return the region (K, J, I) inside the surface after the iterations."""
    import SimpleITK as sitk

    if own.all():
        return own.copy()  # there is no surface to move
    axes = [axis for axis, size in enumerate(own.shape) if size > 1]
    flat = tuple(own.shape[axis] for axis in axes)
    spacing = [spacing_kji[axis] for axis in reversed(axes)]
    mask = sitk.GetImageFromArray(own.reshape(flat).view(np.uint8))
    feature = sitk.GetImageFromArray(np.ascontiguousarray(speed.reshape(flat)))
    for image in (mask, feature):
        image.SetSpacing(spacing)
    distance = sitk.SignedMaurerDistanceMapImageFilter()
    distance.SetSquaredDistance(False)
    distance.SetUseImageSpacing(True)
    level = execute(distance, mask, progress=lambda *_: None, cancel=cancel)
    method = sitk.GeodesicActiveContourLevelSetImageFilter()
    method.SetPropagationScaling(settings.propagation)
    method.SetCurvatureScaling(settings.curvature)
    method.SetAdvectionScaling(settings.advection)
    method.SetNumberOfIterations(settings.iterations)
    method.SetMaximumRMSError(settings.max_rms)
    level = execute(
        method, sitk.Cast(level, sitk.sitkFloat32), feature, progress=progress, cancel=cancel, message=message
    )
    inside: npt.NDArray[np.bool_] = sitk.GetArrayViewFromImage(level) <= 0
    return inside.reshape(own.shape)
