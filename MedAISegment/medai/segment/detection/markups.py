"""Findings as files of Slicer's Markups, one ROI each: plain JSON by the published schema (version 1.0.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medai.core.atomic import write_text

from .result import Detection, Detections

SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"


def roi_json(item: Detection, name: str) -> dict[str, Any]:
    """Return one ROI in LPS mm, as Slicer writes it."""
    axes = np.asarray(item.direction, dtype=np.float64)
    if np.linalg.det(axes) < 0:
        axes = axes * np.array([1.0, 1.0, -1.0])  # the same box, right-handed
    turn = np.array([-1.0, -1.0, 1.0])
    centre = [float(v) for v in turn * np.asarray(item.centre_ras)]
    about = f"{item.name}, score {item.score:.3f}, {item.diameter_mm:.1f} mm. Research use only, not for diagnosis."
    return {
        "type": "ROI",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": 1,
        "roiType": "Box",
        "center": centre,
        "orientation": [float(v) for v in (turn[:, None] * axes).reshape(-1)],
        "size": list(item.size_mm),
        "insideOut": False,
        "controlPoints": [
            {
                "id": "1",
                "label": name,
                "description": about,
                "associatedNodeID": "",
                "position": centre,
                "orientation": [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0],
                "selected": True,
                "locked": False,
                "visibility": True,
                "positionStatus": "defined",
            }
        ],
    }


def write_markups(found: Detections, folder: str | Path) -> list[Path]:
    """Write ``finding_001.mrk.json`` and so on, best first.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    files = []
    for number, item in enumerate(found.items, start=1):
        path = Path(folder) / f"finding_{number:03d}.mrk.json"
        value = {"@schema": SCHEMA, "markups": [roi_json(item, f"{item.name} {number}")]}
        write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
        files.append(path)
    return files
