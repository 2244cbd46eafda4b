"""Region growing where a whole neighbourhood lies between two limits."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ..runs import MaskOf
from ..seeds import seeds_by_segment
from ._base import Segmenter
from ._grow import Claims, range_mask, require_in_range, require_inside
from ._runs import Mask, chosen_mask, connected_parts
from .connected_threshold import ConnectedThresholdSettings


class NeighbourhoodConnectedSettings(ConnectedThresholdSettings):
    """Limits of the region's values and how far around a voxel they must hold."""

    radius: int = Field(
        1,
        ge=1,
        le=20,
        title="Radius",
        description="Half the side of the box that must lie within the limits, in voxels.",
    )


class NeighbourhoodConnected(Segmenter):
    """Voxels whose whole surrounding box lies from ``lower`` to ``upper`` and that hang together with a seed.

    The same voxels as ``SimpleITK.NeighborhoodConnected`` (with connectivity 6): the mask of the limits is eroded by
    the box, and the components that hold a seed are taken.  Thin bridges and noise do not let the region leak; it
    stays ``radius`` voxels away from its edge, so dilate it afterwards.  Beyond the border there is no limit.  A box
    larger than the image asks for the whole axis; an axis of one voxel is not looked along.  NaN and infinite voxels
    count as outside the limits.  With ``inside``, boxes may reach beyond that segment.  A voxel that two segments
    reach goes to the one with the nearer seed in mm, at equal distance to the first.
    """

    name = "neighbourhood_connected"
    title = "Neighbourhood connected"
    group = "Region growing"
    requires = ("scipy",)
    uses_labels = "optional"
    weight = 1.0
    Settings = NeighbourhoodConnectedSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: NeighbourhoodConnectedSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Grow each segment from its seeds.

        Raises
        ------
        InputError
            Without a seed, for one outside the image or ``inside``, whose value lies outside the limits, or whose
            neighbourhood does.
        """
        value.require_scalar(self.title)
        seeds = seeds_by_segment(settings.seeds, value.geometry)
        inside = inside_mask(labels, settings.inside)
        require_inside(seeds, inside, settings.inside)
        require_in_range(value.array, seeds, settings.lower, settings.upper)
        shape = value.geometry.shape
        within = range_mask(value.array, settings.lower, settings.upper)
        parts = connected_parts(
            eroded(within, shape, settings.radius, inside),
            shape,
            settings.connectivity,
            progress=sub_progress(progress, 0.0, 0.9),
            cancel=cancel,
            message=self.title,
        )
        claims = Claims(value.geometry, seeds)
        for number, (segment, places) in enumerate(seeds.items()):
            chosen = {parts.at(place) for place in places}
            if 0 in chosen:
                which = next(n for n, place in enumerate(places, start=1) if parts.at(place) == 0)
                raise InputError(
                    f"Seed {which} of {segment!r} has a value outside the limits within {settings.radius} voxels.",
                    hint="Move the point deeper into the structure, smooth the image, or use a smaller radius.",
                )
            claims.add(number, chosen_mask(parts, chosen), cancel=cancel)
        return claims.finish(value, settings.max_ml)


def eroded(within: MaskOf, shape: tuple[int, int, int], radius: int, inside: Mask | None) -> MaskOf:
    """Return a mask eroded by a box of ``radius`` voxels, slab by slab; the border does not erode."""

    def mask_of(start: int, stop: int) -> Mask:
        low, high = max(0, start - radius), min(shape[0], stop + radius)
        result = within(low, high)
        for axis in (2, 1, 0):
            result = _all_near(result, axis, radius)
        result = result[start - low : stop - low]
        return result if inside is None else result & inside[start:stop]

    return mask_of


def _all_near(mask: Mask, axis: int, radius: int) -> Mask:
    """Return where all voxels up to ``radius`` away along an axis are set; those beyond the end count as set."""
    result = mask.copy()
    source, target = np.moveaxis(mask, axis, 0), np.moveaxis(result, axis, 0)
    for step in range(1, min(radius, len(source) - 1) + 1):
        target[step:] &= source[:-step]
        target[:-step] &= source[step:]
    return result
