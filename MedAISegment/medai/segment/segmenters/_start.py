"""Start regions of contours: the segments made so far, or small balls around seeds."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment

from ..seeds import Index, seeds_by_segment, segments_of
from ._grow import SeedSettings, doubts


class StartSettings(SeedSettings):
    """Base of the settings of segmenters that move the surface of a start region."""

    ball_mm: float = Field(
        5.0,
        gt=0,
        le=500,
        title="Ball",
        description="Radius of the ball around each seed that the contour starts from.",
        json_schema_extra={"unit": "mm"},
    )
    margin_mm: float = Field(
        30.0,
        ge=0,
        title="Margin",
        description="The contour stays within the start region's bounding box, widened by this on each side.",
        json_schema_extra={"unit": "mm"},
    )
    max_ml: float | None = Field(
        None,
        gt=0,
        title="Largest volume",
        description="A segment larger than this is flagged: it probably leaked. None: no limit.",
        json_schema_extra={"unit": "mL"},
    )


@dataclasses.dataclass(frozen=True)
class Start:
    """Start regions, one label each, shape (K, J, I)."""

    array: npt.NDArray[Any]
    segments: tuple[Segment, ...]


def start_regions(geometry: Geometry, labels: LabelMap | None, settings: StartSettings, what: str) -> Start:
    """Return balls around the seeds, or, without seeds, the segments made so far that are not empty.

    Where balls of two segments meet, a voxel belongs to the nearer seed.

    Raises
    ------
    InputError
        If there are neither seeds nor segments, or a seed lies outside the image.
    """
    if settings.seeds:
        seeds = seeds_by_segment(settings.seeds, geometry)
        array = np.zeros(geometry.shape, dtype=np.uint8 if len(seeds) < 256 else np.uint16)
        best = np.full(geometry.shape, np.inf, dtype=np.float32) if len(seeds) > 1 else None
        for label, places in enumerate(seeds.values(), start=1):
            for place in places:
                _ball(array, best, label, place, geometry, settings.ball_mm)
        return Start(array, segments_of(tuple(seeds)))
    if labels is None:
        raise InputError(
            f"{what} needs a start region: neither seeds nor segments are there.",
            hint="Place a seed, or put a segmenter before it.",
        )
    counts = labels.counts()
    kept = tuple(segment for segment in labels.segments if counts[segment.label])
    if not kept:
        raise InputError(f"{what} needs a start region, and all segments are empty.", hint="Check the steps before.")
    return Start(labels.array, kept)


def _ball(
    array: npt.NDArray[Any],
    best: npt.NDArray[np.float32] | None,
    label: int,
    place: Index,
    geometry: Geometry,
    radius: float,
) -> None:
    box = tuple(
        slice(max(0, n - int(radius / s)), n + int(radius / s) + 1)
        for n, s in zip(place, geometry.spacing_kji, strict=True)
    )
    squares = [
        np.square((np.arange(part.start, min(part.stop, size)) - n) * s)
        for part, n, s, size in zip(box, place, geometry.spacing_kji, geometry.shape, strict=True)
    ]
    distance = (squares[0][:, None, None] + squares[1][:, None] + squares[2]).astype(np.float32)
    ball = distance <= radius**2
    if best is not None:
        ball &= distance < best[box]
        best[box][ball] = distance[ball]
    array[box][ball] = label


def finish(start: Start, array: npt.NDArray[Any], geometry: Geometry, settings: StartSettings) -> LabelMap:
    """Return the label map with the flags of grown segments."""
    found = LabelMap(array, geometry, start.segments)
    return found.replace(flags=doubts(found, settings.max_ml))
