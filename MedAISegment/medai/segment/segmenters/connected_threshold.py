"""Region growing between two limits."""

from __future__ import annotations

from pydantic import Field, model_validator

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ..seeds import seeds_by_segment
from ._base import Segmenter
from ._grow import Claims, ConnectedSettings, range_mask, require_in_range, require_inside
from ._runs import chosen_mask, connected_parts


class ConnectedThresholdSettings(ConnectedSettings):
    """Limits of the region's values."""

    lower: float | None = Field(None, title="Lower", description="Smallest value of the region; none for no limit.")
    upper: float | None = Field(None, title="Upper", description="Largest value of the region; none for no limit.")

    @model_validator(mode="after")
    def _limits_fit(self) -> ConnectedThresholdSettings:
        if self.seeds and self.lower is None and self.upper is None:
            raise ValueError("give lower, upper or both: without limits the region would be the whole image")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower {self.lower:g} is greater than upper {self.upper:g}")
        return self


class ConnectedThreshold(Segmenter):
    """Voxels from ``lower`` to ``upper``, both included, that hang together with a seed.

    The same voxels as ``SimpleITK.ConnectedThreshold`` (connectivity 6 is its face, 26 its full connectivity): the
    connected components, of the voxels within the limits, that hold a seed.  Any type of voxel; NaN and infinite
    voxels never belong.  A single slice is grown in its plane.  A voxel that two segments reach goes to the one with
    the nearer seed in mm, at equal distance to the first.
    """

    name = "connected_threshold"
    title = "Connected threshold"
    group = "Region growing"
    requires = ("scipy",)
    uses_labels = "optional"
    weight = 1.0
    Settings = ConnectedThresholdSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: ConnectedThresholdSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Grow each segment from its seeds.

        Raises
        ------
        InputError
            Without a seed, for one outside the image or ``inside``, and for one whose value lies outside the limits.
        """
        value.require_scalar(self.title)
        seeds = seeds_by_segment(settings.seeds, value.geometry)
        inside = inside_mask(labels, settings.inside)
        require_inside(seeds, inside, settings.inside)
        require_in_range(value.array, seeds, settings.lower, settings.upper)
        parts = connected_parts(
            range_mask(value.array, settings.lower, settings.upper, inside),
            value.geometry.shape,
            settings.connectivity,
            progress=sub_progress(progress, 0.0, 0.8),
            cancel=cancel,
            message=self.title,
        )
        claims = Claims(value.geometry, seeds)
        for number, places in enumerate(seeds.values()):
            chosen = {parts.at(place) for place in places}
            share = sub_progress(progress, 0.8 + 0.2 * number / len(seeds), 0.8 + 0.2 * (number + 1) / len(seeds))
            claims.add(number, chosen_mask(parts, chosen), progress=share, cancel=cancel, message=self.title)
        return claims.finish(value, settings.max_ml)
