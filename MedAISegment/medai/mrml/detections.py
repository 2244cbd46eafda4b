"""Findings as Markups ROIs: one box a finding, in the scene and as files that Slicer opens."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..segment.detection.result import Detection, Detections
from ._slicer import slicer, vtk
from .attributes import get_json, set_json, set_text
from .nodes import require_scene
from .texts import storable_line

ROI = "vtkMRMLMarkupsROINode"
MOST = 200
"""More boxes than this nobody looks at, and each is a node with handles."""


def detections_to_rois(detections: Detections, scene: Any, *, most: int = MOST) -> list[Any]:
    """Add a locked Markups ROI for each finding, the best first.

    The box lies along the image's axes: its position, size and rotation are the finding's.  A left-handed image's third
    axis is turned round, which leaves the box as it is.

    Parameters
    ----------
    detections : Detections
    scene : vtkMRMLScene
    most : int
        Only so many, the best, are added.

    Returns
    -------
    list of vtkMRMLMarkupsROINode
        Name and control point's label hold the class and the score, the node's description too; the attribute
        ``MedAI.Finding`` holds the finding as JSON.

    Raises
    ------
    SceneError
        If the scene is no MRML scene.
    """
    require_scene(scene)
    _register(scene)
    nodes = []
    for number, item in enumerate(detections.items[:most], start=1):
        node = scene.AddNewNodeByClass(ROI, storable_line(f"{item.name} {number}"))
        _place(node, item)
        node.SetDescription(storable_line(f"{item.name}, score {item.score:.3f}, {item.diameter_mm:.1f} mm"))
        set_json(node, "Finding", item.to_dict())
        set_text(node, "Score", f"{item.score:.6g}")
        node.SetLocked(True)
        nodes.append(node)
    return nodes


def finding_of(node: Any) -> Detection | None:
    """Return the finding that a Markups ROI was made from, or None if it was made from none."""
    data = get_json(node, "Finding")
    return Detection.from_dict(data) if isinstance(data, dict) else None


def _register(scene: Any) -> None:
    """Make the scene know Markups ROIs, which Slicer's Markups module does in the application."""
    for name in (ROI, "vtkMRMLMarkupsROIDisplayNode", "vtkMRMLMarkupsROIJsonStorageNode"):
        kind = getattr(slicer, name, None)
        if kind is not None and not scene.IsNodeClassRegistered(name):
            scene.RegisterNodeClass(kind())


def _place(node: Any, item: Detection) -> None:
    axes = np.asarray(item.direction, dtype=np.float64)
    if np.linalg.det(axes) < 0:
        axes = axes * np.array([1.0, 1.0, -1.0])
    matrix = vtk.vtkMatrix4x4()
    for row in range(3):
        for column in range(3):
            matrix.SetElement(row, column, float(axes[row, column]))
        matrix.SetElement(row, 3, item.centre_ras[row])
    node.SetROIType(slicer.vtkMRMLMarkupsROINode.ROITypeBox)
    node.SetAndObserveObjectToNodeMatrix(matrix)
    node.SetSize(*item.size_mm)
