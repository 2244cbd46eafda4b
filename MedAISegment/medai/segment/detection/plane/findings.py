"""From objects in slices to findings in the image: boxes, scores, and one segment for each."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.labelmap import MAX_LABEL, LabelMap, Segment
from medai.core.qc import QCFlag, Severity

from ...manifest import LabelEntry
from ..result import Detection, Detections
from .link import Thing
from .seen import Seen


def findings_of(
    things: Sequence[Thing],
    seen: Seen,
    geometry: Geometry,
    classes: Sequence[LabelEntry],
    *,
    flags: tuple[QCFlag, ...] = (),
    meta: Mapping[str, Any] | None = None,
    name: str = "",
) -> Detections:
    """Return objects as findings on the image's grid, each with its segment.

    Parameters
    ----------
    things : sequence of Thing
        Best first; the label map's values follow this order, from 1.  Those beyond the 65535th are left out, with the
        flag PARTIAL_RUN.
    seen : Seen
        How the image was looked at.
    geometry : Geometry
        Grid of the image as it is stored.
    classes : sequence of LabelEntry
        The model's; a class' segments are called by its name and a number.
    """
    if len(things) > MAX_LABEL:
        text = f"{len(things)} instances were found; the best {MAX_LABEL} are kept."
        flags = (*flags, QCFlag("PARTIAL_RUN", Severity.WARNING, text, len(things), MAX_LABEL))
    kept = things[:MAX_LABEL]
    labels = np.zeros(seen.shape, dtype=np.uint8 if len(kept) < 256 else np.uint16)
    numbers = dict.fromkeys(range(1, len(classes) + 1), 0)
    segments, items = [], []
    for value, thing in enumerate(kept, start=1):
        for k, part in thing.parts:
            height, width = part.mask.shape
            labels[k, part.row : part.row + height, part.column : part.column + width][part.mask] = value
        entry = classes[thing.kind - 1]
        numbers[thing.kind] += 1
        title = f"{entry.name} {numbers[thing.kind]}"
        segment = entry.to_segment()
        segments.append(Segment(value, title, _colour(value), segment.category, segment.type))
        corners = seen.box_back(thing.low, thing.high)
        items.append(
            Detection.of(
                geometry, corners[:3], corners[3:], thing.score, label=entry.label, name=entry.name, mask_label=value
            )
        )
    masks = LabelMap(np.ascontiguousarray(seen.back(labels)), geometry, tuple(segments), flags, dict(meta or {}))
    return Detections(tuple(items), geometry, flags, masks, dict(meta or {}), name)


def truth_of(labels: LabelMap, classes: Sequence[LabelEntry], kinds: Mapping[int, int], name: str = "") -> Detections:
    """Return the instances of a reference's label map as findings of score 1.

    Parameters
    ----------
    labels : LabelMap
        Every value is one instance, across all slices.
    kinds : mapping
        Class (1 for the first) of each value; empty: all are of the first.
    """
    from scipy.ndimage import find_objects

    items = []
    for value, place in enumerate(find_objects(labels.array), start=1):
        if place is not None:
            entry = classes[kinds[value] - 1 if kinds else 0]
            low, high = [p.start for p in place[::-1]], [p.stop for p in place[::-1]]
            items.append(
                Detection.of(labels.geometry, low, high, 1.0, label=entry.label, name=entry.name, mask_label=value)
            )
    return Detections(tuple(items), labels.geometry, masks=labels, name=name)


def _colour(value: int) -> tuple[float, float, float]:
    """Return a colour that differs from those of the values near it: hues a golden section apart."""
    return colorsys.hsv_to_rgb((value * 0.6180339887) % 1.0, 0.65, 0.95)
