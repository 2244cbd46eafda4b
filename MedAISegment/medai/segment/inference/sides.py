"""Left and right: where two segments of one structure lie, and whether that can be a patient's left and right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.labelmap import LabelMap, Segment
from medai.core.qc import QCFlag, Severity

from ..boxes import bounding_box
from ..manifest import LocatorHint, Side

AROUND_MM = 10.0
"""Radius of the ball around a centroid in which the structures around are looked at."""
MIDDLE = (0.2, 0.8)
"""Share of the way from left to right at which the middle of the surrounding structures may lie."""


@dataclass(frozen=True)
class Place:
    """Where the largest part of a segment lies.

    Parameters
    ----------
    centroid : tuple of float
        RAS mm.
    volume_ml : float
        Of that part.
    """

    centroid: tuple[float, float, float]
    volume_ml: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON: position in RAS mm and volume in mL."""
        return {"centroid_ras": [round(c, 3) for c in self.centroid], "volume_ml": round(self.volume_ml, 4)}


def place_of(labels: LabelMap, segment: Segment) -> Place | None:
    """Return where the largest part of a segment lies (parts touch by face, edge or corner); None if it is empty."""
    from scipy import ndimage

    mask = labels.array == segment.label
    box = bounding_box(mask)
    if box is None:
        return None
    part = mask[box]
    found, count = ndimage.label(part, np.ones((3, 3, 3), dtype=bool))
    if count > 1:
        part = found == 1 + int(np.argmax(np.bincount(found.reshape(-1))[1:]))
    index = np.argwhere(part).mean(axis=0) + [s.start for s in box]
    r, a, s = labels.geometry.to_ras(index[::-1])
    volume = int(np.count_nonzero(part)) * labels.geometry.voxel_volume_mm3 / 1000
    return Place((float(r), float(a), float(s)), float(volume))


def side_flags(
    labels: LabelMap, hint: LocatorHint, places: Mapping[Side, Place], facts: dict[str, Any]
) -> list[QCFlag]:
    """Return ``SIDES_IMPLAUSIBLE`` for each way in which what was found cannot be a patient's left and right.

    The left one must lie to the left: along R, with the line between them within ``hint.tilt_deg`` of the patient's
    left-right axis; at ``hint.distance_mm``; each inside the structures ``hint.inside``, whose middle lies between
    them.  All of it is in patient coordinates and says nothing about headers that are wrong.

    Parameters
    ----------
    facts : dict
        Gets ``distance_mm``, ``tilt_deg``, ``inside_share`` and ``middle``.
    """
    flags: list[QCFlag] = []

    def tell(text: str, measured: float, limit: float) -> None:
        flags.append(QCFlag("SIDES_IMPLAUSIBLE", Severity.ERROR, text, measured, limit))

    around = _inside(labels, hint) if hint.inside else None
    if around is not None:
        facts["inside_share"] = {}
        for side, found in places.items():
            own = next(s.label for s in labels.segments if s.name == hint.labels[side])
            share = _share(labels, around, own, found.centroid)
            facts["inside_share"][side] = round(share, 4)
            if share < hint.inside_share:
                tell(
                    f"{hint.labels[side]} does not lie inside the structures that should surround it.",
                    share,
                    hint.inside_share,
                )
    left, right = places.get("left"), places.get("right")
    if left is None or right is None:
        return flags
    line = np.subtract(right.centroid, left.centroid)
    distance = float(np.linalg.norm(line))
    tilt = math.degrees(math.acos(max(-1.0, min(1.0, float(line[0]) / distance)))) if distance else 180.0
    facts |= {"distance_mm": round(distance, 3), "tilt_deg": round(tilt, 3)}
    if tilt > hint.tilt_deg:
        tell(
            f"The left one does not lie to the left of the right one: the line between them is tilted by {tilt:.0f} "
            f"degrees, at most {hint.tilt_deg:g} are plausible.",
            tilt,
            hint.tilt_deg,
        )
    if hint.distance_mm is not None and not hint.distance_mm[0] <= distance <= hint.distance_mm[1]:
        low, high = hint.distance_mm
        tell(
            f"Left and right are {distance:.0f} mm apart, plausible are {low:g} to {high:g} mm.",
            distance,
            low if distance < low else high,
        )
    if around is not None and distance:
        middle = _middle(labels, around, np.asarray(left.centroid), line / distance**2)
        facts["middle"] = round(middle, 4)
        if not MIDDLE[0] <= middle <= MIDDLE[1]:
            limit = MIDDLE[0] if middle < MIDDLE[0] else MIDDLE[1]
            tell("Left and right lie on one side of what surrounds them.", middle, limit)
    return flags


def _inside(labels: LabelMap, hint: LocatorHint) -> npt.NDArray[np.bool_]:
    table = np.zeros(1 + max((s.label for s in labels.segments), default=0), dtype=np.bool_)
    for segment in labels.segments:
        table[segment.label] = segment.name in hint.inside
    return np.asarray(table[labels.array])


def _share(labels: LabelMap, around: npt.NDArray[np.bool_], own: int, centroid: tuple[float, float, float]) -> float:
    """Return the share that a mask covers of the voxels around a position that are not the structure's own."""
    grid = labels.geometry
    centre = grid.to_ijk(centroid)[::-1]
    reach = np.ceil(AROUND_MM / np.asarray(grid.spacing[::-1])).astype(int)
    low = np.maximum(np.floor(centre).astype(int) - reach, 0)
    high = np.minimum(np.ceil(centre).astype(int) + reach + 1, around.shape)
    if (high <= low).any():
        return 0.0
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    near = np.linalg.norm(grid.to_ras(index[..., ::-1].reshape(-1, 3)) - np.asarray(centroid), axis=1) <= AROUND_MM
    near &= labels.array[window].reshape(-1) != own
    return float(around[window].reshape(-1)[near].mean()) if near.any() else 1.0


def _middle(labels: LabelMap, around: npt.NDArray[np.bool_], left: Any, per_mm: Any) -> float:
    """Return how far along the line from left to right the centroid of a mask lies, 0 to 1 between them."""
    count = int(np.count_nonzero(around))
    if not count:
        return -1.0
    index = [
        float((np.count_nonzero(around, axis=tuple(a for a in range(3) if a != axis)) * np.arange(n)).sum() / count)
        for axis, n in enumerate(around.shape)
    ]
    return float((labels.geometry.to_ras(index[::-1]) - left) @ per_mm)
