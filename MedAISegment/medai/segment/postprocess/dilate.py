"""Segments grown by a distance."""

from __future__ import annotations

from pydantic import Field

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.morphology import dilated, reach

from ._masks import GrowSettings, Mask, MaskPost, Part, Within, flat_axis, within_field


class DilateSettings(GrowSettings):
    """The ball."""

    radius_mm: float = Field(
        2.0,
        gt=0,
        le=100,
        title="Radius",
        description="Every voxel whose centre lies within this distance of the segment's is added.",
        json_schema_extra={"unit": "mm"},
    )
    within: Within = within_field()


class Dilate(MaskPost):
    """Grows each segment by a distance in mm: every background voxel within the radius, between voxel centres.

    The ball is exact on anisotropic grids and equals ``scipy.ndimage.binary_dilation`` with it as the structure.  Along
    an axis whose spacing is larger than the radius nothing grows.  A voxel that two segments reach goes to the nearer
    one.
    """

    name = "dilate"
    title = "Dilate"
    group = "Shape"
    requires = ("scipy", "SimpleITK")
    weight = 2.0
    Settings = DilateSettings

    def margin(self, geometry: Geometry, settings: DilateSettings) -> tuple[int, int, int]:
        """Return how far the ball reaches."""
        return reach(settings.radius_mm, geometry.spacing_kji, flat_axis(geometry, settings.within))

    def change(self, part: Part, settings: DilateSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the new mask."""
        flat = flat_axis(part.geometry, settings.within)
        return dilated(part.mask, settings.radius_mm, part.spacing_kji, flat=flat, progress=progress, cancel=cancel)
