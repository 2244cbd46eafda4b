"""Watershed: edges close into regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.volume import Volume

from ..inside import InsideSettings, inside_mask
from ..seeds import seeds_by_segment, segments_of
from ..sitk_run import execute
from ..slabs import for_slabs
from ._base import Segmenter
from ._gradient import (
    Floats,
    magnitude,
    percentile_of_magnitude,
    require_moderate,
    slab_of,
    smoothed,
)
from ._grow import SeedSettings, doubts, require_inside

if TYPE_CHECKING:
    import SimpleITK

TOP = 65535
"""Highest of the levels in which the gradient is flooded."""


class WatershedSettings(SeedSettings, InsideSettings):
    """Where the water rises from."""

    markers: Literal["seeds", "labels", "minima"] = Field(
        "seeds",
        title="Markers",
        description="Flood from the seeds, from the segments so far, or from every minimum deeper than the level.",
    )
    sigma_mm: float = Field(
        1.0,
        ge=0,
        le=100,
        title="Sigma",
        description="Standard deviation of the Gaussian smoothing before the gradient is taken; 0: none.",
        json_schema_extra={"unit": "mm"},
    )
    level: float | None = Field(
        None,
        ge=0,
        title="Level",
        description="Minima: depth, in gradient per mm, that a basin needs to stay; none: the median gradient.",
    )
    background: str = Field(
        "Background",
        max_length=64,
        title="Background",
        description="Name of what marks the background, which is left out of the result; empty: keep all.",
    )
    max_regions: int = Field(
        1000, ge=1, le=65535, title="Most regions", description="Minima: more regions than this are refused."
    )


class Watershed(Segmenter):
    """Floods the gradient magnitude from markers; regions meet on its ridges, so that edges close.

    The gradient, per mm, of the image smoothed by a Gaussian, in 65,536 equal levels, is flooded by
    ``SimpleITK.MorphologicalWatershedFromMarkers`` (face neighbours, no line between regions), which equals
    ``skimage.segmentation.watershed``; with the markers ``minima`` by ``SimpleITK.MorphologicalWatershed``, and the
    regions are called Region 1, 2, ... in the order of their first voxels.  Every voxel gets the label of a marker, so
    mark the background too: at least two segments are needed.  With ``inside``, voxels beyond that segment are
    flooded last and left out of the result; so are NaN and infinite voxels.  A single slice is flooded in its plane.

    Takes about 18 bytes of memory a voxel.  ITK looks at Cancel only when it reports progress, which may be several
    seconds apart on 512 x 512 x 100 voxels; ending the worker stops it at once.
    """

    name = "watershed"
    title = "Watershed"
    group = "Edges"
    requires = ("scipy", "SimpleITK")
    uses_labels = "optional"
    weight = 25.0
    Settings = WatershedSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: WatershedSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Flood the image.

        Raises
        ------
        InputError
            If there are fewer than two markers, a seed outside the image or ``inside``, too many regions, or values
            above 1e12.
        """
        low = require_moderate(value, self.title, cancel)
        inside = inside_mask(labels, settings.inside)
        marked: tuple[npt.NDArray[Any], tuple[Segment, ...]] | None = None
        if settings.markers != "minima":
            marked = self._markers(value, labels, inside, settings)
        spacing = value.geometry.spacing_kji
        first = sub_progress(progress, 0.0, 0.2)
        smooth = smoothed(value, settings.sigma_mm, low, progress=first, cancel=cancel, message=self.title)
        level = settings.level
        if level is None and marked is None:
            level = percentile_of_magnitude(smooth, 50, spacing, cancel=cancel)
        wall = None if inside is None else ~inside
        if value.array.dtype.kind == "f":
            bad = ~np.isfinite(value.array)
            wall = bad if wall is None else wall | bad
        relief, unit = _relief(smooth, spacing, wall, cancel)
        del smooth
        rest = sub_progress(progress, 0.2, 1.0)
        array = flooded(
            relief, None if marked is None else marked[0], (level or 0.0) / unit, rest, cancel, message=self.title
        )
        if wall is not None:
            array[wall] = 0
        if marked is None:
            array, segments = _regions(array, settings.max_regions)
        else:
            segments = tuple(s for s in marked[1] if s.name != settings.background)
            for segment in marked[1]:
                if segment.name == settings.background:
                    array[array == segment.label] = 0
        found = LabelMap(array, value.geometry, segments)
        return found if marked is None else found.replace(flags=doubts(found))

    def _markers(
        self, value: Volume, labels: LabelMap | None, inside: npt.NDArray[np.bool_] | None, settings: WatershedSettings
    ) -> tuple[npt.NDArray[Any], tuple[Segment, ...]]:
        if settings.markers == "seeds":
            seeds = seeds_by_segment(settings.seeds, value.geometry)
            require_inside(seeds, inside, settings.inside)
            array = np.zeros(value.geometry.shape, dtype=np.uint8 if len(seeds) < 256 else np.uint16)
            for label, places in enumerate(seeds.values(), start=1):
                array[tuple(np.transpose(places))] = label
            segments = segments_of(tuple(seeds))
        else:
            if labels is None:
                raise InputError(
                    f"{self.title} has no segments to flood from, because nothing was segmented so far.",
                    hint="Put a segmenter before it, or choose other markers.",
                )
            counts = labels.counts()
            segments = tuple(s for s in labels.segments if counts[s.label] and s.name != settings.inside)
            array = labels.array
            if settings.inside:
                array = np.where(array == labels.segment(settings.inside).label, 0, array)
        if len(segments) < 2:
            raise InputError(
                f"{self.title} needs markers of at least two segments, given {len(segments)}.",
                hint="Mark the background too, for example with a seed called Background.",
            )
        return array, segments


def _relief(
    smooth: Floats, spacing: tuple[float, float, float], wall: npt.NDArray[np.bool_] | None, cancel: CancelToken
) -> tuple[npt.NDArray[np.uint16], float]:
    """Return the gradient magnitude in whole levels, and the gradient that a level stands for."""
    slab = slab_of(smooth.shape)

    def steepest(start: int, stop: int) -> float:
        return float(magnitude(smooth, start, stop, spacing).max())

    top = max(for_slabs(len(smooth), steepest, slab=slab, progress=no_progress, cancel=cancel))
    unit = top / TOP if top > 0 else 1.0
    result = np.empty(smooth.shape, dtype=np.uint16)

    def part(start: int, stop: int) -> None:
        steep = magnitude(smooth, start, stop, spacing)
        steep *= np.float32(1 / unit)
        result[start:stop] = np.minimum(np.rint(steep, out=steep), TOP)
        if wall is not None:
            result[start:stop][wall[start:stop]] = TOP

    for_slabs(len(smooth), part, slab=slab, progress=no_progress, cancel=cancel)
    return result, unit


def flooded(
    relief: npt.NDArray[np.uint16],
    markers: npt.NDArray[Any] | None,
    level: float,
    progress: ProgressFn,
    cancel: CancelToken,
    *,
    message: str = "",
) -> npt.NDArray[Any]:
    """Return the regions of a relief (K, J, I), flooded from markers or, without them, from minima of a depth."""
    import SimpleITK as sitk

    def image(array: npt.NDArray[Any]) -> SimpleITK.Image:
        return sitk.GetImageFromArray(array[0] if len(array) == 1 else array)

    if markers is None:
        method = sitk.MorphologicalWatershedImageFilter()
        method.SetLevel(float(level))
        method.SetMarkWatershedLine(False)
        found = execute(method, image(relief), progress=progress, cancel=cancel, message=message)
    else:
        method = sitk.MorphologicalWatershedFromMarkersImageFilter()
        method.SetMarkWatershedLine(False)
        found = execute(method, image(relief), image(markers), progress=progress, cancel=cancel, message=message)
    array: npt.NDArray[Any] = sitk.GetArrayFromImage(found)
    return array.reshape(relief.shape)


def _regions(array: npt.NDArray[Any], most: int) -> tuple[npt.NDArray[Any], tuple[Segment, ...]]:
    """Return the regions numbered in the order of their first voxels.

    Raises
    ------
    InputError
        If there are more than ``most``.
    """
    seen = np.zeros(int(array.max()) + 1, dtype=np.bool_)
    seen[0] = True
    values: list[int] = []
    for plane in array:  # one by one: sorting a whole volume takes several times its memory
        found, places = np.unique(plane, return_index=True)
        new = ~seen[found]
        values += found[new][np.argsort(places[new])].tolist()
        seen[found] = True
    if len(values) > most:
        raise InputError(
            f"The watershed has {len(values)} regions, at most {most} are kept.",
            hint="Use a higher level, or more smoothing.",
        )
    table = np.zeros(len(seen), dtype=np.uint8 if len(values) < 256 else np.uint16)
    table[values] = np.arange(1, len(values) + 1)
    return table[array], segments_of([f"Region {n}" for n in range(1, len(values) + 1)])
