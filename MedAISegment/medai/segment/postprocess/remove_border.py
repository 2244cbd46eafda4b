"""Segments without the components that reach the image's border."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn

from ._components import FACES_HELP, Components
from ._masks import ComponentsSettings, Mask, MaskPost, Part


class RemoveBorderSettings(ComponentsSettings):
    """Which border counts."""

    faces: Literal["border", "sides", "ends", "left", "right", "anterior", "posterior", "superior", "inferior"] = Field(
        "border", title="Faces", description=f"Faces of the image that a component must not reach: {FACES_HELP}"
    )


class RemoveBorder(MaskPost):
    """Drops the components of each segment that hold a voxel of the image's outermost layer on some faces.

    With ``sides``, air around a body in CT goes and lungs that reach the first or last slice stay.  Faces are those
    nearest to the anatomical direction; a single slice has none above and below.
    """

    name = "remove_border"
    title = "Remove what touches the border"
    group = "Components"
    requires = ("scipy",)
    weight = 2.0
    Settings = RemoveBorderSettings

    def change(self, part: Part, settings: RemoveBorderSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the components that do not reach the border."""
        found = Components(part, settings.connectivity, progress=progress, cancel=cancel)
        return found.mask(~found.touching(settings.faces))
