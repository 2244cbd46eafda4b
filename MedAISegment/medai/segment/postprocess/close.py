"""Narrow gaps of segments filled."""

from __future__ import annotations

from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn
from medai.segment.morphology import closed

from ._masks import GrowSettings, Mask, MaskPost, Part, Within, flat_axis, within_field


class CloseSettings(GrowSettings):
    """The ball."""

    radius_mm: float = Field(
        2.0,
        gt=0,
        le=100,
        title="Radius",
        description="Radius of the ball that must not fit.",
        json_schema_extra={"unit": "mm"},
    )
    within: Within = within_field()


class Close(MaskPost):
    """Dilates and then erodes each segment: gaps into which the ball does not fit are filled.

    A segment never shrinks, and never leaves its bounding box.  Beyond the image lies background, so that a gap between
    a segment and the image's border stays open.
    """

    name = "close"
    title = "Close"
    group = "Shape"
    requires = ("scipy", "SimpleITK")
    weight = 2.0
    Settings = CloseSettings

    def change(self, part: Part, settings: CloseSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the new mask."""
        flat = flat_axis(part.geometry, settings.within)
        return closed(part.mask, settings.radius_mm, part.spacing_kji, flat=flat, progress=progress, cancel=cancel)
