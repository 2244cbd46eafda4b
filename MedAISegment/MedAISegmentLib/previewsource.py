"""What a preview needs of the scene: the slice that a view shows, with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from MedAISegmentLib.pipelines import Steps, filled
from MedAISegmentLib.seeds import readBox, readGrid, readSeeds
from MedAISegmentLib.undo import fingerprint

TASK = "medai.segment.tasks:preview"
NORMALS = {"Red": (0.0, 0.0, 1.0), "Yellow": (1.0, 0.0, 0.0), "Green": (0.0, 1.0, 0.0)}


@dataclass(frozen=True)
class PreviewRequest:
    """What to show: the steps on the slice of one view."""

    volumeNode: Any
    steps: Steps
    view: str
    startNode: Any = None
    seedsNode: Any = None
    roiNode: Any = None
    referenceNode: Any = None


def sliceNode(view: str) -> Any:
    """Return the slice view's node ("Red", "Yellow", "Green"), or None where there are no views."""
    scene = slicer.mrmlScene
    nodes = (
        scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode"))
    )
    return next((node for node in nodes if node.GetLayoutName() == view), None)


def planeOf(view: str, geometry: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return a view's normal and a point on it, RAS mm; without the view, the middle of the image."""
    node = sliceNode(view)
    if node is None:
        return NORMALS[view], tuple(float(v) for v in geometry.centre)
    matrix = node.GetSliceToRAS()
    columns = [tuple(matrix.GetElement(row, column) for row in range(3)) for column in (2, 3)]
    return columns[0], columns[1]


class SlabSource:
    """Cuts slabs out of volume nodes; keeps the start segmentation's label map while it is unchanged."""

    def __init__(self) -> None:
        self._labels: Any = None
        self._labelsOf: Any = None

    def cut(self, request: PreviewRequest, secondsPerSlice: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the task's inputs and settings.

        Raises
        ------
        medai.core.errors.MedAIError
            If the nodes or the steps cannot be used.
        """
        from medai.core.volume import Volume
        from medai.mrml import volume_geometry
        from medai.mrml.arrays import from_image
        from medai.mrml.quantities import modality_of, unit_of
        from medai.segment.preview import effort_for, slab_around, slice_at

        node = request.volumeNode
        geometry = volume_geometry(node)
        readers = ((readSeeds, request.seedsNode), (readBox, request.roiNode), (readGrid, request.referenceNode))
        placed = [read(source).values for read, source in readers if source is not None]
        steps = filled(request.steps, *placed)
        axis, index = slice_at(geometry, *planeOf(request.view, geometry))
        halo, thin = effort_for(steps, secondsPerSlice)
        array, grid, position = slab_around(from_image(node.GetImageData()), geometry, axis, index, halo, thin)
        inputs = {"volume": Volume(array, grid, modality=modality_of(node), unit=unit_of(node))}
        labels = self._labelsFor(request)
        if labels is not None:
            values = slab_around(labels.array, geometry, axis, index, halo, thin)[0]
            inputs["labels"] = labels.replace(array=values, geometry=grid, meta={}, flags=())
        return inputs, {"pipeline": steps, "axis": axis, "position": position, "window": _window(node), "thin": thin}

    def _labelsFor(self, request: PreviewRequest) -> Any:
        from MedAISegmentLib.logic import readLabels

        if request.startNode is None:
            self._labels = self._labelsOf = None
            return None
        wanted = (request.startNode.GetID(), request.volumeNode.GetID(), fingerprint(request.startNode))
        if wanted != self._labelsOf:
            self._labels, self._labelsOf = readLabels(request.startNode, request.volumeNode), wanted
        return self._labels


def _window(node: Any) -> list[float] | None:
    """Return the values that the views show black and white, or None if nobody has chosen any."""
    display = node.GetDisplayNode()
    if display is None or not display.IsA("vtkMRMLScalarVolumeDisplayNode"):
        return None
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    return [low, high] if low < high else None
