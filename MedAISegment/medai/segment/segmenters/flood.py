"""Region growing from a seed's own value, within a tolerance."""

from __future__ import annotations

from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ..seeds import seeds_by_segment
from ._base import Segmenter
from ._grow import Claims, ConnectedSettings, neighbourhood, range_mask, require_in_range, require_inside, value_at
from ._runs import Parts, chosen_mask, connected_parts


class FloodSettings(ConnectedSettings):
    """How far a value may be from the seed's."""

    tolerance: float = Field(
        40.0, ge=0, title="Tolerance", description="Largest difference from the seed's value, in the image's unit."
    )
    mean_radius: int = Field(
        0,
        ge=0,
        le=20,
        title="Mean radius",
        description="Compare with the mean of the box of this radius in voxels around the seed; 0: its own voxel.",
    )


class Flood(Segmenter):
    """Voxels that differ from a seed's value by at most the tolerance and hang together with that seed.

    The same voxels as ``skimage.segmentation.flood`` with its ``tolerance`` (connectivity 6, 18 and 26 are its 1, 2
    and 3).  Each seed floods from its own value, and a segment is all that its seeds flood.  With a mean radius, the
    value is the mean of the finite voxels of a box around the seed (border voxels repeated), which noise disturbs less.
    NaN and infinite voxels never belong.  A voxel that two segments reach goes to the one with the nearer seed in mm,
    at equal distance to the first.
    """

    name = "flood"
    title = "Flood with tolerance"
    group = "Region growing"
    requires = ("scipy",)
    uses_labels = "optional"
    weight = 1.0
    Settings = FloodSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: FloodSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Flood from each seed.

        Raises
        ------
        InputError
            Without a seed, for one outside the image or ``inside``, on a voxel without a value, or whose own value is
            farther from the local mean than the tolerance.
        """
        value.require_scalar(self.title)
        array = value.array
        seeds = seeds_by_segment(settings.seeds, value.geometry)
        inside = inside_mask(labels, settings.inside)
        require_inside(seeds, inside, settings.inside)
        claims = Claims(value.geometry, seeds)
        total = sum(len(places) for places in seeds.values())
        done = 0
        # Seeds of one value share their components; only the last ones are kept, to save memory.
        known: tuple[tuple[float, float], Parts] | None = None
        for number, (segment, places) in enumerate(seeds.items()):
            for which, place in enumerate(places, start=1):
                centre = value_at(array, place, segment, which)
                if settings.mean_radius:
                    centre = float(neighbourhood(array, place, settings.mean_radius).mean())
                limits = (centre - settings.tolerance, centre + settings.tolerance)
                require_in_range(array, {segment: [place]}, *limits)
                share = sub_progress(progress, done / total, (done + 1) / total)
                if known is None or known[0] != limits:
                    parts = connected_parts(
                        range_mask(array, *limits, inside),
                        value.geometry.shape,
                        settings.connectivity,
                        progress=share,
                        cancel=cancel,
                        message=self.title,
                    )
                    known = (limits, parts)
                claims.add(number, chosen_mask(known[1], {known[1].at(place)}), cancel=cancel)
                done += 1
        return claims.finish(value, settings.max_ml)
