"""One step back: what a run has replaced or made is as it was before.

The content before is kept (voxels are shared, not copied, because a run gives its output new ones), until the next run,
until the scene is closed, or until the output is edited: then going back would throw the edit away.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

MATERIAL = "Binary labelmap"


class Undo:
    """Keeps what one output node was before the last run."""

    def __init__(self) -> None:
        self._node: Any = None
        self._before: Any = None
        self._after: Any = None
        self._extras: tuple[Any, ...] = ()
        self._observer: tuple[Any, int] | None = None

    def stateOf(self, node: Any) -> Any:
        """Return what must be kept of an output that is about to be filled; None for one that will be made."""
        if node is None:
            return None
        return _SegmentationState(node) if node.IsA("vtkMRMLSegmentationNode") else _VolumeState(node)

    def keep(self, node: Any, before: Any, extras: tuple[Any, ...] = ()) -> None:
        """Remember that a run has filled ``node``; ``before`` is what :meth:`stateOf` gave.

        ``extras`` are nodes that the run made besides; they go when it is undone.
        """
        self.drop()
        self._extras = extras
        self._node, self._before, self._after = node, before, fingerprint(node)
        scene = slicer.mrmlScene
        self._observer = scene, scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, lambda *_a: self.drop())

    def drop(self) -> None:
        """Forget; nothing can be undone any more."""
        if self._observer is not None:
            self._observer[0].RemoveObserver(self._observer[1])
        self._node = self._before = self._after = self._observer = None
        self._extras = ()

    def whyNot(self) -> str:
        """Return why nothing can be undone; empty if it can."""
        if self._node is None:
            return _("There is no result to undo.")
        if not slicer.mrmlScene.IsNodePresent(self._node):
            return _("The result is not in the scene any more.")
        if fingerprint(self._node) != self._after:
            return _("The result was edited since the run; undoing would throw the edit away.")
        return ""

    def undo(self) -> str:
        """Bring the output back to what it was and say so.

        Raises
        ------
        medai.core.errors.SceneError
            If that is not possible; nothing is changed then.
        """
        from medai.core.errors import SceneError

        reason = self.whyNot()
        if reason:
            self.drop()
            raise SceneError(reason)
        node, before, extras = self._node, self._before, self._extras
        self.drop()
        for extra in extras:
            if slicer.mrmlScene.IsNodePresent(extra):
                slicer.mrmlScene.RemoveNode(extra)
        if before is None:
            text = _("Undone: {name} was removed.").format(name=node.GetName())
            slicer.mrmlScene.RemoveNode(node)
            return text
        before.restore(node)
        return _("Undone: {name} is as it was before.").format(name=node.GetName())


class _NodeState:
    """Name, attributes and the reference image of a node."""

    def __init__(self, node: Any) -> None:
        self._name = node.GetName()
        self._attributes = {name: node.GetAttribute(name) for name in node.GetAttributeNames()}

    def restore(self, node: Any) -> None:
        was = node.StartModify()
        try:
            self._content(node)
            for name in [*node.GetAttributeNames()]:
                if name not in self._attributes:
                    node.RemoveAttribute(name)
            for name, value in self._attributes.items():
                node.SetAttribute(name, value)
            node.SetName(self._name)
        finally:
            node.EndModify(was)

    def _content(self, node: Any) -> None:
        raise NotImplementedError


class _SegmentationState(_NodeState):
    def __init__(self, node: Any) -> None:
        from medai.mrml.segment_objects import snapshot

        super().__init__(node)
        segmentation = node.GetSegmentation()
        self._entries = snapshot(segmentation)
        self._source = segmentation.GetSourceRepresentationName()
        self._reference = node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole())
        self._grid = segmentation.GetConversionParameter(_gridParameter())

    def _content(self, node: Any) -> None:
        from medai.mrml.segment_objects import fill

        segmentation = node.GetSegmentation()
        fill(segmentation, self._entries, self._source)
        role = node.GetReferenceImageGeometryReferenceRole()
        if self._reference and slicer.mrmlScene.GetNodeByID(self._reference) is not None:
            node.SetNodeReferenceID(role, self._reference)
        else:
            node.RemoveNodeReferenceIDs(role)
        segmentation.SetConversionParameter(_gridParameter(), self._grid)


class _VolumeState(_NodeState):
    def __init__(self, node: Any) -> None:
        super().__init__(node)
        self._image = node.GetImageData()
        self._matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(self._matrix)
        self._quantity, self._units = _copied(node.GetVoxelValueQuantity()), _copied(node.GetVoxelValueUnits())

    def _content(self, node: Any) -> None:
        node.SetIJKToRASMatrix(self._matrix)
        node.SetAndObserveImageData(self._image)
        node.SetVoxelValueQuantity(self._quantity)
        node.SetVoxelValueUnits(self._units)


def _copied(entry: Any) -> Any:
    if entry is None:
        return None
    copy = slicer.vtkCodedEntry()
    copy.Copy(entry)
    return copy


def _gridParameter() -> str:
    return slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()


def fingerprint(node: Any) -> tuple[Any, ...]:
    """Return what changes when somebody edits the voxels, the segments or the grid, and only then."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        image = node.GetImageData()
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        values = tuple(matrix.GetElement(row, column) for row in range(4) for column in range(4))
        return ("volume", _lastChange(image), values)
    segmentation = node.GetSegmentation()
    parts = []
    for number in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(number)
        when = _lastChange(segment.GetRepresentation(MATERIAL))
        parts.append((segmentation.GetNthSegmentID(number), segment.GetName(), tuple(segment.GetColor()), when))
    return ("segmentation", *parts)


def _lastChange(image: Any) -> int:
    """Return VTK's count of changes at an image's last one; no two changes of anything have the same."""
    if image is None:
        return 0
    scalars = image.GetPointData().GetScalars()
    return max(image.GetMTime(), scalars.GetMTime() if scalars is not None else 0)
