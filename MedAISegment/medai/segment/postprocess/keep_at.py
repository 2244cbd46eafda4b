"""Components at given points."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.morphology import TOLERANCE, reach
from medai.segment.seeds import Index, Seed, seeds_by_segment

from ._base import chosen
from ._components import Components
from ._masks import ComponentsSettings, Mask, MaskPost, Part

ANY = "*any*"


class KeepAtSettings(ComponentsSettings):
    """The points."""

    seeds: tuple[Seed, ...] = Field(
        (),
        max_length=10000,
        title="Points",
        description=(
            "Points in the components to keep.  A point named as one of the segments counts for that one, any other "
            "for all of them."
        ),
    )
    distance_mm: float = Field(
        5.0,
        ge=0,
        le=100,
        title="Distance",
        description="A point beside the segment stands for the nearest component up to this far away.",
        json_schema_extra={"unit": "mm"},
    )


class KeepAt(MaskPost):
    """Keeps the components of each segment that hold a point, or lie nearest to one within a distance.

    Distances are measured between voxel centres, a point counting as the voxel it lies in.  Of equally near components
    the one whose first voxel (along K, then J, then I) comes first is kept.  A segment for which no point counts stays
    as it is; one without a component at its points becomes empty and is flagged.
    """

    name = "keep_at"
    title = "Keep components at points"
    group = "Components"
    requires = ("scipy",)
    weight = 2.0
    Settings = KeepAtSettings

    def apply(
        self, value: LabelMap, settings: KeepAtSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Keep the components at the points.

        Raises
        ------
        InputError
            If there is no point, one lies outside the image, or there is no segment of a name.
        """
        seeds_by_segment(settings.seeds, value.geometry)
        names = {segment.name for segment in chosen(value, settings.segments)}
        # Points named otherwise count for all; from here on they have no name.
        seeds = tuple(s if s.segment in names else s.model_copy(update={"segment": ANY}) for s in settings.seeds)
        settings = settings.model_copy(update={"seeds": seeds})
        return super().apply(value, settings, progress=progress, cancel=cancel)

    def change(self, part: Part, settings: KeepAtSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the components at the points that count for the part's segment."""
        seeds = [s.model_copy(update={"segment": ANY}) for s in settings.seeds if s.segment in (part.segment.name, ANY)]
        if not seeds:
            return part.mask
        found = Components(part, settings.connectivity, progress=progress, cancel=cancel)
        keep = np.zeros(len(found.sizes), dtype=np.bool_)
        for index in seeds_by_segment(seeds, part.geometry)[ANY]:
            keep[_nearest(found, index, settings.distance_mm)] = True
        return found.mask(keep)


def _nearest(found: Components, index: Index, distance_mm: float) -> int:
    """Return the component nearest to a voxel of the image up to a distance, or 0."""
    part = found.part
    k, j, i = (n - place.start for n, place in zip(index, part.box, strict=True))
    window = tuple(
        slice(max(0, n - far), max(0, n + far + 1))
        for n, far in zip((k, j, i), reach(distance_mm, part.spacing_kji), strict=True)
    )
    around = found.labels[window]
    places = np.argwhere(around)
    if not len(places):
        return 0
    starts = [part.start for part in window]
    squared = (((places + starts - (k, j, i)) * part.spacing_kji) ** 2).sum(axis=1)
    numbers = around[tuple(places.T)]
    best = np.lexsort((numbers, np.round(squared, 6)))[0]
    return int(numbers[best]) if squared[best] <= (distance_mm * (1 + TOLERANCE)) ** 2 else 0
