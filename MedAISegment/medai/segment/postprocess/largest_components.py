"""The largest connected components of segments."""

from __future__ import annotations

from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn

from ._components import Components, first
from ._masks import ComponentsSettings, Mask, MaskPost, Part


class LargestComponentsSettings(ComponentsSettings):
    """How many to keep."""

    number: int = Field(1, ge=1, le=1000, title="Number", description="How many components of each segment to keep.")


class LargestComponents(MaskPost):
    """Keeps the ``number`` components of each segment with the most voxels.

    Of components of one size, the one whose first voxel (along K, then J, then I) comes first counts as larger.
    """

    name = "largest_components"
    title = "Largest components"
    group = "Components"
    requires = ("scipy",)
    weight = 2.0
    Settings = LargestComponentsSettings

    def change(
        self, part: Part, settings: LargestComponentsSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Mask:
        """Return the largest components."""
        found = Components(part, settings.connectivity, progress=progress, cancel=cancel)
        return found.mask(first(found.sizes, settings.number, found.sizes))
