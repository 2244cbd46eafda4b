"""qMRMLSegmentSelectorWidget and qMRMLSegmentsTableView over the real segmentation nodes."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from medai_host.declare import stored
from medai_host.mrmlbase import MRMLWidgetMixin, Observers
from medai_host.nodecombobox import qMRMLNodeComboBox
from medai_host.uiloader import stand_in

_EVENTS = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified")


def segment_ids(node: Any) -> list[str]:
    """The IDs of a segmentation node's segments, in order."""
    return list(node.GetSegmentation().GetSegmentIDs()) if node is not None else []


def _watch(observers: Observers, node: Any, method: Any) -> None:
    observers.clear()
    if node is not None:
        for name in _EVENTS:
            observers.add(node.GetSegmentation(), getattr(slicer.vtkSegmentation, name), method)
        observers.add(node, vtk.vtkCommand.ModifiedEvent, method)


def _as_segmentation(node: Any) -> Any:
    return node if isinstance(node, slicer.vtkMRMLSegmentationNode) else None


@stand_in
class qMRMLSegmentSelectorWidget(MRMLWidgetMixin, QtWidgets.QWidget):
    """A box for the segmentation and a box for one of its segments."""

    mrmlSceneChanged = QtCore.Signal(object)
    currentNodeChanged = QtCore.Signal(object)
    currentSegmentChanged = QtCore.Signal(str)

    HOST_SIGNALS = {
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
    }
    HOST_SLOTS = ("setMRMLScene(vtkMRMLScene*)", "setCurrentNode(vtkMRMLNode*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_observers = Observers()
        self._host_nodes = qMRMLNodeComboBox(self)
        self._host_nodes.setNodeTypes(["vtkMRMLSegmentationNode"])
        for flag in ("addEnabled", "removeEnabled"):
            setattr(self._host_nodes, flag, False)
        self._host_segments = QtWidgets.QComboBox(self)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self._host_nodes, self._host_segments):
            column.addWidget(widget)
        self._host_nodes.currentNodeChanged.connect(self._host_node_changed)
        self._host_segments.currentIndexChanged.connect(self._host_segment_changed)

    def _host_scene_changed(self, scene: Any) -> None:
        self._host_nodes.setMRMLScene(scene)

    def _host_node_changed(self, node: Any) -> None:
        _watch(self._host_observers, node, self._host_populate)
        self._host_populate()
        self.currentNodeChanged.emit(node)

    def _host_populate(self) -> None:
        node, kept = self.currentNode(), self.currentSegmentID()
        ids = segment_ids(node)
        self._host_segments.blockSignals(True)
        self._host_segments.clear()
        for segment_id in ids:
            self._host_segments.addItem(node.GetSegmentation().GetSegment(segment_id).GetName(), segment_id)
        self._host_segments.setCurrentIndex(ids.index(kept) if kept in ids else (0 if ids else -1))
        self._host_segments.blockSignals(False)
        if self.currentSegmentID() != kept:
            self._host_segment_changed()

    def _host_segment_changed(self, _index: int = 0) -> None:
        self.currentSegmentChanged.emit(self.currentSegmentID())

    def currentNode(self) -> Any:
        return self._host_nodes.currentNode()

    def currentNodeID(self) -> str:
        return self._host_nodes.currentNodeID

    def currentSegmentID(self) -> str:
        return self._host_segments.currentData or ""

    def setCurrentNode(self, node: Any) -> None:
        self._host_nodes.setCurrentNode(_as_segmentation(node))

    def setCurrentNodeID(self, node_id: str) -> None:
        self._host_nodes.setCurrentNodeID(node_id)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._host_segments.setCurrentIndex(self._host_segments.findData(segment_id))

    def setNoneEnabled(self, enabled: bool) -> None:
        self._host_nodes.setNoneEnabled(enabled)

    def setSegmentationNodeSelectorVisible(self, visible: bool) -> None:
        self._host_nodes.setVisible(bool(visible))

    noneEnabled = QtCore.Property(bool, lambda self: self._host_nodes.noneEnabled, setNoneEnabled)
    segmentationNodeSelectorVisible = QtCore.Property(
        bool, lambda self: not self._host_nodes.isHidden(), setSegmentationNodeSelectorVisible
    )


@stand_in
class qMRMLSegmentsTableView(MRMLWidgetMixin, QtWidgets.QWidget):
    """The segments of one segmentation with their colours; rows can be selected."""

    mrmlSceneChanged = QtCore.Signal(object)
    selectionChanged = QtCore.Signal(object, object)

    HOST_SIGNALS = {
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
        "selectionChanged(QItemSelection,QItemSelection)": "selectionChanged",
    }
    HOST_SLOTS = ("setMRMLScene(vtkMRMLScene*)", "setSegmentationNode(vtkMRMLNode*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_node: Any = None
        self._host_hidden_ids: tuple[str, ...] = ()
        self._host_read_only = False
        self._host_filter_bar = False
        self._host_flags = {"visibility": True, "opacity": True, "status": False}
        self._host_observers = Observers()
        self._host_table = QtWidgets.QTableWidget(0, 2, self)
        self._host_table.setHorizontalHeaderLabels(["Colour", "Name"])
        self._host_table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._host_table.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)
        self._host_table.horizontalHeader().setStretchLastSection(True)
        self._host_table.verticalHeader().hide()
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._host_table)
        self._host_table.selectionModel().selectionChanged.connect(self._host_selection_changed)

    def _host_selection_changed(self, selected: Any, deselected: Any) -> None:
        self.selectionChanged.emit(selected, deselected)

    def segmentationNode(self) -> Any:
        return self._host_node

    def setSegmentationNode(self, node: Any) -> None:
        self._host_node = _as_segmentation(node)
        _watch(self._host_observers, self._host_node, self._host_update)
        self._host_update()

    def _host_update(self) -> None:
        kept = self.selectedSegmentIDs()
        ids = self.displayedSegmentIDs()
        self._host_table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            segment = self._host_node.GetSegmentation().GetSegment(segment_id)
            colour = QtWidgets.QTableWidgetItem()
            colour.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            name = QtWidgets.QTableWidgetItem(segment.GetName())
            name.setData(QtCore.Qt.UserRole, segment_id)
            self._host_table.setItem(row, 0, colour)
            self._host_table.setItem(row, 1, name)
        self.setSelectedSegmentIDs([i for i in kept if i in ids])

    def tableWidget(self) -> QtWidgets.QTableView:
        return self._host_table

    def displayedSegmentIDs(self) -> tuple[str, ...]:
        return tuple(i for i in segment_ids(self._host_node) if i not in self._host_hidden_ids)

    def segmentIDForRow(self, row: int) -> str:
        item = self._host_table.item(row, 1)
        return item.data(QtCore.Qt.UserRole) if item is not None else ""

    def rowForSegmentID(self, segment_id: str) -> int:
        rows = [row for row in range(self._host_table.rowCount) if self.segmentIDForRow(row) == segment_id]
        return rows[0] if rows else -1

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        rows = sorted({index.row() for index in self._host_table.selectionModel().selectedRows()})
        return tuple(self.segmentIDForRow(row) for row in rows)

    def setSelectedSegmentIDs(self, segment_ids: Any) -> None:
        self._host_table.clearSelection()
        model, flags = self._host_table.selectionModel(), QtCore.QItemSelectionModel
        for row in (self.rowForSegmentID(segment_id) for segment_id in segment_ids):
            if row >= 0:
                model.select(self._host_table.model().index(row, 0), flags.Select | flags.Rows)

    def clearSelection(self) -> None:
        self._host_table.clearSelection()

    def setHideSegments(self, segment_ids: Any) -> None:
        self._host_hidden_ids = tuple(segment_ids)
        self._host_update()

    def hideSegments(self) -> tuple[str, ...]:
        return self._host_hidden_ids

    def setSelectionMode(self, mode: Any) -> None:
        self._host_table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def setHeaderVisible(self, visible: bool) -> None:
        self._host_table.horizontalHeader().setVisible(bool(visible))

    def setColorColumnVisible(self, visible: bool) -> None:
        self._host_table.setColumnHidden(0, not visible)

    def setVisibilityColumnVisible(self, visible: bool) -> None:
        self._host_flags["visibility"] = bool(visible)

    def setOpacityColumnVisible(self, visible: bool) -> None:
        self._host_flags["opacity"] = bool(visible)

    def setStatusColumnVisible(self, visible: bool) -> None:
        self._host_flags["status"] = bool(visible)

    def setReadOnly(self, read_only: bool) -> None:
        self._host_read_only = bool(read_only)

    def setFilterBarVisible(self, visible: bool) -> None:
        self._host_filter_bar = bool(visible)

    segmentCount = QtCore.Property(int, lambda self: len(self.displayedSegmentIDs()))
    selectionMode = QtCore.Property(int, lambda self: self._host_table.selectionMode.value, setSelectionMode)
    headerVisible = QtCore.Property(
        bool, lambda self: not self._host_table.horizontalHeader().isHidden(), setHeaderVisible
    )
    colorColumnVisible = QtCore.Property(
        bool, lambda self: not self._host_table.isColumnHidden(0), setColorColumnVisible
    )
    visibilityColumnVisible = QtCore.Property(
        bool, lambda self: self._host_flags["visibility"], setVisibilityColumnVisible
    )
    opacityColumnVisible = QtCore.Property(bool, lambda self: self._host_flags["opacity"], setOpacityColumnVisible)
    statusColumnVisible = QtCore.Property(bool, lambda self: self._host_flags["status"], setStatusColumnVisible)
    readOnly = stored(bool, "_host_read_only", setReadOnly)
    filterBarVisible = stored(bool, "_host_filter_bar", setFilterBarVisible)
