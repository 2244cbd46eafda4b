"""Segments shrunk by a distance."""

from __future__ import annotations

from pydantic import Field

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.morphology import eroded

from ._base import SegmentsSettings
from ._masks import Mask, MaskPost, Part, Within, flat_axis, within_field


class ErodeSettings(SegmentsSettings):
    """The ball."""

    radius_mm: float = Field(
        2.0,
        gt=0,
        le=100,
        title="Radius",
        description="Voxels whose centre lies within this distance of one outside the segment are dropped.",
        json_schema_extra={"unit": "mm"},
    )
    within: Within = within_field()


class Erode(MaskPost):
    """Shrinks each segment by a distance in mm, measured between voxel centres.

    A voxel goes if a voxel outside the segment, another segment's too, lies within the radius.  What lies beyond the
    image is unknown and erodes nothing.  Equals ``scipy.ndimage.binary_erosion`` with ``border_value=1``.
    """

    name = "erode"
    title = "Erode"
    group = "Shape"
    requires = ("scipy", "SimpleITK")
    weight = 2.0
    Settings = ErodeSettings

    def margin(self, geometry: Geometry, settings: ErodeSettings) -> tuple[int, int, int]:
        """Return one voxel, which is where the nearest voxel outside is."""
        return 1, 1, 1

    def change(self, part: Part, settings: ErodeSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the new mask."""
        flat = flat_axis(part.geometry, settings.within)
        return eroded(part.mask, settings.radius_mm, part.spacing_kji, flat=flat, progress=progress, cancel=cancel)
