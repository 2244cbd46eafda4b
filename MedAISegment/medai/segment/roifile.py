"""Boxes from Slicer's files of regions of interest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medai.core.errors import InputError
from medai.core.settings import load_json_file

Triple = tuple[float, float, float]


def read_roi(path: str | Path) -> tuple[Triple, Triple]:
    """Return centre and size (mm along R, A, S) of the bounding box of the ROI in a Slicer file (``.mrk.json``).

    Raises
    ------
    SettingsError
        If the file cannot be read as JSON.
    InputError
        If it holds no box, or more than one.
    """
    name = Path(path).name
    data = load_json_file(path)
    lists = data.get("markups") if isinstance(data, dict) else None
    boxes = [item for item in lists or [] if isinstance(item, dict) and item.get("type") == "ROI"]
    if len(boxes) != 1:
        raise InputError(
            f"{name} holds {len(boxes)} regions of interest, one is needed.",
            hint="Save one ROI in Slicer as .mrk.json.",
        )
    box = boxes[0]
    system = box.get("coordinateSystem", "LPS")
    if system not in ("LPS", "RAS", "0", "1", 0, 1):
        raise InputError(f"{name}: the coordinate system of the box is neither LPS nor RAS.")
    sign = 1.0 if system in ("RAS", "0", 0) else -1.0
    centre = _numbers(box.get("center"), 3, name)
    size = _numbers(box.get("size"), 3, name)
    axes = _numbers(box.get("orientation", [1, 0, 0, 0, 1, 0, 0, 0, 1]), 9, name).reshape(3, 3)
    # A turned box is covered by an upright one; the signs of the axes do not change its size.
    width = np.abs(axes) @ size
    if (width <= 0).any():
        raise InputError(f"{name}: the box has no size.")
    r, a, s = centre * (sign, sign, 1.0)
    return (float(r), float(a), float(s)), (float(width[0]), float(width[1]), float(width[2]))


def _numbers(value: Any, count: int, name: str) -> Any:
    good = isinstance(value, list) and len(value) == count
    if not good or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e300 for v in value):
        raise InputError(f"{name}: the box has no {count} numbers where they are expected.")
    return np.asarray(value, dtype=np.float64)
