"""The labels of a model that works in boxes: on the image's grid, with a side in their names."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import Code, Segment

from ..manifest import Manifest, Side
from .prepare import FloatImage
from .regions import Box, paste

SIDES: dict[Side, Code] = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}


class Canvas:
    """The labels on the image's grid, and the segments that regions add to it."""

    def __init__(self, geometry: Geometry, manifest: Manifest) -> None:
        self.geometry = geometry
        self.manifest = manifest
        self.labels: npt.NDArray[np.uint16] = np.zeros(geometry.shape, dtype=np.uint16)
        self.segments: list[Segment] = []

    def add(self, box: Box, scores: FloatImage) -> dict[str, Any]:
        """Put one region's arg-max onto the grid; returns facts about it, JSON-ready."""
        classes, where = paste(scores, box.grid, self.geometry)
        found = np.argmax(scores, axis=0)
        part = self.labels[where]
        voxel_ml = self.geometry.voxel_volume_mm3 / 1000
        facts: dict[str, Any] = {"side": box.side, "labels": {}, "grid": box.grid.to_dict()}
        for index, entry in enumerate(self.manifest.labels, start=1):
            segment = self._segment(entry.label, box.side)
            new = (classes == index) & (part == 0)
            part[new] = segment.label
            probability = scores[index][found == index]
            facts["labels"][segment.name] = {
                "volume_ml": float(np.count_nonzero(new) * voxel_ml),
                "mean_probability": float(probability.mean()) if probability.size else None,
                "model_label": entry.name,
            }
        return facts

    def _segment(self, label: int, side: Side) -> Segment:
        entry = next(e for e in self.manifest.labels if e.label == label).to_segment()
        numbers = {"": label, "left": label, "right": label + max(e.label for e in self.manifest.labels)}
        name = f"{side.capitalize()} {entry.name[0].lower()}{entry.name[1:]}" if side else entry.name
        wanted = Segment(
            numbers[side],
            name,
            entry.color if side != "right" else _deeper(entry.color),
            entry.category,
            entry.type,
            SIDES.get(side),
        )
        existing = next((s for s in self.segments if s.name == name), None)
        if existing is not None:
            return existing
        if any(s.label == wanted.label for s in self.segments):
            raise InputError(
                "Regions with and without a side cannot be mixed.", hint="Give every region a side, or none."
            )
        self.segments.append(wanted)
        return wanted


def _deeper(color: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the same hue, darker: the right side's colour."""
    r, g, b = (round(0.72 * c, 3) for c in color)
    return r, g, b
