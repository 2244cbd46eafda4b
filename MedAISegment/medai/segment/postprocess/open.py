"""Thin parts of segments removed."""

from __future__ import annotations

from pydantic import Field

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.morphology import opened

from ._base import SegmentsSettings
from ._masks import Mask, MaskPost, Part, Within, flat_axis, within_field


class OpenSettings(SegmentsSettings):
    """The ball."""

    radius_mm: float = Field(
        2.0,
        gt=0,
        le=100,
        title="Radius",
        description="Radius of the ball that must fit.",
        json_schema_extra={"unit": "mm"},
    )
    within: Within = within_field()


class Open(MaskPost):
    """Erodes and then dilates each segment: parts into which the ball does not fit go.

    Thin bridges, spikes and specks disappear; a segment never grows.  The image's border erodes nothing.
    """

    name = "open"
    title = "Open"
    group = "Shape"
    requires = ("scipy", "SimpleITK")
    weight = 2.0
    Settings = OpenSettings

    def margin(self, geometry: Geometry, settings: OpenSettings) -> tuple[int, int, int]:
        """Return one voxel, which is where the nearest voxel outside is."""
        return 1, 1, 1

    def change(self, part: Part, settings: OpenSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the new mask."""
        flat = flat_axis(part.geometry, settings.within)
        return opened(part.mask, settings.radius_mm, part.spacing_kji, flat=flat, progress=progress, cancel=cancel)
