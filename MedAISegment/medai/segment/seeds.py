"""Seeds: points in the patient from which a region grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import Segment
from medai.core.settings import Settings

from .anatomy import named

Index = tuple[int, int, int]


class Seed(Settings):
    """A point and the segment that grows from it; a Markups control point becomes one."""

    ras: tuple[float, float, float] = Field(title="Position", description="RAS in mm.")
    segment: str = Field(
        "Segment", min_length=1, max_length=64, title="Segment", description="Seeds of one name grow one segment."
    )


def seeds_by_segment(seeds: Sequence[Seed], geometry: Geometry) -> dict[str, list[Index]]:
    """Return the voxel (K, J, I) nearest to each seed, by segment, both in the order given.

    Raises
    ------
    InputError
        If there is no seed, one lies outside the image, or seeds of two segments fall into one voxel.
    """
    if not seeds:
        raise InputError("There is no seed to grow from.", hint="Place at least one point inside the structure.")
    found: dict[str, list[Index]] = {}
    owner: dict[Index, str] = {}
    for number, seed in enumerate(seeds, start=1):
        i, j, k = (int(v) for v in np.rint(geometry.to_ijk(np.asarray(seed.ras))))
        index = (k, j, i)
        if any(not 0 <= n < size for n, size in zip(index, geometry.shape, strict=True)):
            position = ", ".join(f"{v:.1f}" for v in seed.ras)
            raise InputError(
                f"Seed {number} of {seed.segment!r} at RAS ({position}) mm lies outside the image.",
                hint="Move the point into the image.",
            )
        if owner.setdefault(index, seed.segment) != seed.segment:
            raise InputError(
                f"Seed {number} of {seed.segment!r} lies in the same voxel as one of {owner[index]!r}.",
                hint="Move one of the points.",
            )
        places = found.setdefault(seed.segment, [])
        if index not in places:
            places.append(index)
    return found


def segments_of(names: Sequence[str]) -> tuple[Segment, ...]:
    """Return a segment for each name, labelled from 1 in that order."""
    return tuple(named(label, name) for label, name in enumerate(names, start=1))
