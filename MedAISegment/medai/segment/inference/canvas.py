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
from .regions import Box, paste, paste_map
from .trust import with_trust

SIDES: dict[Side, Code] = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}


class Canvas:
    """The labels on the image's grid, and the segments that regions add to it."""

    def __init__(self, geometry: Geometry, manifest: Manifest) -> None:
        self.geometry = geometry
        self.manifest = manifest
        self.labels: npt.NDArray[np.uint16] = np.zeros(geometry.shape, dtype=np.uint16)
        self.segments: list[Segment] = []
        self.maps: dict[str, npt.NDArray[np.float32]] = {}
        self._covered: dict[str, npt.NDArray[np.bool_]] = {}

    def add(self, box: Box, scores: FloatImage, maps: dict[str, FloatImage]) -> dict[str, Any]:
        """Put one region's arg-max and maps onto the grid; returns facts about it, JSON-ready."""
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
            if "agreement" in maps:
                shares = maps["agreement"][found == index]
                facts["labels"][segment.name]["mean_agreement"] = float(shares.mean()) if shares.size else None
        facts["labels"] = with_trust(facts["labels"])
        for name, values in maps.items():
            self._add_map(name, *paste_map(values, box.grid, self.geometry))
        return facts

    def expect(self, side: Side) -> list[str]:
        """Name a side's segments although nothing was found there; returns their names."""
        return [self._segment(entry.label, side).name for entry in self.manifest.labels]

    def _add_map(self, name: str, values: npt.NDArray[Any], where: tuple[slice, slice, slice]) -> None:
        shape = self.geometry.shape
        result = self.maps.setdefault(name, np.zeros(shape, dtype=np.float32))[where]
        covered = self._covered.setdefault(name, np.zeros(shape, dtype=bool))[where]
        # As for labels: where two boxes overlap, the earlier one stays.
        new = np.isfinite(values) & ~covered
        result[new] = np.clip(values[new], 0.0, None if name == "mutual_information" else 1.0)
        covered |= new

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
