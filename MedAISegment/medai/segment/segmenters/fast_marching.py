"""Fast marching: a front that leaves the seeds and slows down at edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.sitk import to_array, to_sitk
from medai.core.volume import Volume

from ..inside import inside_mask
from ..seeds import Index, seeds_by_segment, segments_of
from ..sitk_run import execute
from ._base import Segmenter
from ._box import Box
from ._gradient import Floats, require_moderate
from ._grow import GrowSettings, doubts, require_inside, value_at
from ._potential import PotentialSettings, potential

BEYOND = 1e30
"""Time of voxels that the front did not reach; ITK's own value does not fit 32 bits."""
NEAR = 2
"""Radius in voxels around the seeds in which the usual gradient is looked up."""


class FastMarchingSettings(GrowSettings, PotentialSettings):
    """How far the front goes and what slows it down."""

    reach: float = Field(
        40.0,
        gt=0,
        le=1000,
        title="Reach",
        description="The front stops at this arrival time: as many mm as it runs in a perfectly flat region.",
        json_schema_extra={"unit": "mm"},
    )


class FastMarching(Segmenter):
    """Voxels that a front from the seeds reaches in time; it runs fast in flat regions and slowly across edges.

    The speed is 1 / (1 + (gradient / edge)^2), the gradient that of the image smoothed by a Gaussian; the arrival time
    solves the eikonal equation (Sethian, Proc. Natl. Acad. Sci. 93, 1591 (1996)) as ``SimpleITK.FastMarching`` does,
    with the spacing, and voxels with a time of at most ``reach`` belong.  Several segments are fronts of their own, and
    a voxel belongs to the one that comes first (at the same time, to the first segment).  Only the box that the front
    can reach is looked at, which changes nothing.  NaN and infinite voxels stop the front.  A single slice is filled
    in its plane.
    """

    name = "fast_marching"
    title = "Fast marching"
    group = "Region growing"
    requires = ("scipy", "SimpleITK")
    uses_labels = "optional"
    weight = 15.0
    Settings = FastMarchingSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: FastMarchingSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Let a front run from each segment's seeds.

        Raises
        ------
        InputError
            Without a seed, for one outside the image or ``inside`` or on a voxel without a value, and for an image
            with values above 1e12.
        """
        low = require_moderate(value, self.title, cancel)
        seeds = seeds_by_segment(settings.seeds, value.geometry)
        inside = inside_mask(labels, settings.inside)
        require_inside(seeds, inside, settings.inside)
        for segment, places in seeds.items():
            for number, place in enumerate(places, start=1):
                value_at(value.array, place, segment, number)
        box = _reachable([place for places in seeds.values() for place in places], value.geometry, settings.reach)
        at_seeds = np.zeros(tuple(part.stop - part.start for part in box), dtype=np.bool_)
        for place in (place for places in seeds.values() for place in places):
            near = [
                slice(max(0, n - part.start - NEAR), n - part.start + NEAR + 1)
                for n, part in zip(place, box, strict=True)
            ]
            at_seeds[tuple(near)] = True
        speed, edge = potential(value, box, at_seeds, settings, low, cancel)
        if inside is not None:
            speed[~inside[box]] = 0
        progress(0.2, self.title)
        names = tuple(seeds)
        found = np.zeros(speed.shape, dtype=np.uint8 if len(names) < 256 else np.uint16)
        best: Floats | None = None
        for number, places in enumerate(seeds.values()):
            share = sub_progress(progress, 0.2 + 0.8 * number / len(names), 0.2 + 0.8 * (number + 1) / len(names))
            own = [tuple(n - part.start for n, part in zip(place, box, strict=True)) for place in places]
            time = arrival(
                speed,
                [(k, j, i) for k, j, i in own],
                value.geometry.spacing,
                settings.reach,
                progress=share,
                cancel=cancel,
                message=self.title,
            )
            reached = time <= settings.reach
            if best is None:
                best = time
            else:
                reached &= time < best
                np.minimum(best, time, out=best)
            found[reached] = number + 1
        result = np.zeros(value.geometry.shape, dtype=found.dtype)
        result[box] = found
        grown = LabelMap(result, value.geometry, segments_of(names), meta={"edge": edge})
        return grown.replace(flags=doubts(grown, settings.max_ml))


def _reachable(places: Sequence[Index], geometry: Geometry, reach: float) -> Box:
    """Return the box that a front of speed 1 can reach from the seeds; one voxel more, because it may end in one."""
    box = []
    for axis, (size, spacing) in enumerate(zip(geometry.shape, geometry.spacing_kji, strict=True)):
        along = [place[axis] for place in places]
        more = int(min(reach / spacing, size)) + 2
        box.append(slice(max(0, min(along) - more), min(size, max(along) + more + 1)))
    return box[0], box[1], box[2]


def arrival(
    speed: Floats,
    places: Sequence[Index],
    spacing: tuple[float, float, float],
    reach: float,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> Floats:
    """Return the time at which a front from the places arrives, in mm per unit speed; very large beyond ``reach``."""
    import SimpleITK as sitk

    flat = [axis for axis, size in enumerate(speed.shape) if size > 1]
    if not flat:
        return np.zeros_like(speed)
    image = to_sitk(speed, Geometry.from_spacing(speed.shape, spacing))
    method = sitk.FastMarchingImageFilter()
    method.SetTrialPoints([place[::-1] for place in places])
    method.SetStoppingValue(float(reach))
    time = to_array(execute(method, image, progress=progress, cancel=cancel, message=message))
    for place in places:
        time[place] = 0
    np.minimum(time, BEYOND, out=time)
    return time.astype(np.float32)
