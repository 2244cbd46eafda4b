"""Segments without their small components."""

from __future__ import annotations

from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn

from ._components import Components
from ._masks import ComponentsSettings, Mask, MaskPost, Part


class MinimumSizeSettings(ComponentsSettings):
    """What is too small."""

    minimum_mm3: float = Field(
        100.0,
        ge=0,
        le=1e9,
        title="Minimum size",
        description="Components of a smaller volume are dropped; one of exactly this volume stays.",
        json_schema_extra={"unit": "mm3"},
    )


class MinimumSize(MaskPost):
    """Drops the components of each segment whose volume (voxels times voxel volume) is below a limit."""

    name = "minimum_size"
    title = "Minimum size"
    group = "Components"
    requires = ("scipy",)
    weight = 2.0
    Settings = MinimumSizeSettings

    def change(self, part: Part, settings: MinimumSizeSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the components that are large enough."""
        found = Components(part, settings.connectivity, progress=progress, cancel=cancel)
        # 0.1 mm voxels do not add up to whole numbers exactly.
        return found.mask(found.sizes * part.voxel_mm3 >= settings.minimum_mm3 * (1 - 1e-9))
