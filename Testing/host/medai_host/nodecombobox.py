"""qMRMLNodeComboBox over the real scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from medai_host.ctkwidgets import ctkComboBox
from medai_host.declare import stored
from medai_host.errors import NotInHost
from medai_host.mrmlbase import MRMLWidgetMixin, Observers
from medai_host.nodekinds import NodeKindsMixin
from medai_host.uiloader import stand_in

NODE_ID_ROLE = QtCore.Qt.UserRole + 1
ACTION_ROLE = QtCore.Qt.UserRole + 2


def _switch(attribute: str) -> tuple[Callable[..., None], QtCore.Property]:
    """The setter and the property of a flag that decides which items there are."""

    def set_flag(self: Any, value: bool) -> None:
        if bool(value) != getattr(self, attribute):
            setattr(self, attribute, bool(value))
            self._host_refill()

    return set_flag, stored(bool, attribute, set_flag)


@stand_in
class qMRMLNodeComboBox(NodeKindsMixin, MRMLWidgetMixin, QtWidgets.QWidget):
    """A combo box of the scene's nodes of some classes, with items to create, rename and delete.

    The items are [None], the nodes in scene order, a separator, the actions. Which item QComboBox selects by itself
    when items come and go is left to QComboBox, as in Slicer: a box without extra items selects the first node that
    appears.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAddedByUserAction = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    currentNodeRenamed = QtCore.Signal(str)
    mrmlSceneChanged = QtCore.Signal(object)
    _host_validity_changed = QtCore.Signal(bool)

    HOST_SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_host_validity_changed",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAddedByUserAction(vtkMRMLNode*)": "nodeAddedByUserAction",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
    }
    HOST_SLOTS = ("setMRMLScene(vtkMRMLScene*)", "setCurrentNode(vtkMRMLNode*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_node_types: tuple[str, ...] = ()
        self._host_hide_child_types: tuple[str, ...] = ()
        self._host_attributes: dict[str, dict[str, Any]] = {}
        self._host_base_names: dict[str, str] = {}
        self._host_labels: dict[str, str] = {}
        self._host_show_hidden = False
        self._host_show_children = True
        self._host_none = False
        self._host_add = True
        self._host_remove = True
        self._host_edit = False
        self._host_rename = False
        self._host_select_new = True
        self._host_none_text = "None"
        self._host_requested = ""
        self._host_filling = False
        self._host_scene_observers = Observers()
        self._host_node_observers = Observers()
        self._host_model = QtGui.QStandardItemModel(self)
        self._host_combo = ctkComboBox(self)
        self._host_combo.setModel(self._host_model)
        self._host_combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._host_combo.setMinimumContentsLength(12)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._host_combo)
        self._host_combo.currentIndexChanged.connect(self._host_emit_current)
        self._host_combo.activated.connect(self._host_activated)
        self._host_fill()
        self.setEnabled(False)

    # --- the scene -------------------------------------------------------------------------------------------------

    def _host_scene_changed(self, scene: Any) -> None:
        had_nodes, old_id = self.nodeCount() > 0, self.currentNodeID
        self._host_scene_observers.clear()
        self._host_filling = True
        self._host_fill()
        if scene is not None:
            add = self._host_scene_observers.add
            add(scene, slicer.vtkMRMLScene.NodeAddedEvent, self._host_on_added, with_object=True)
            add(scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._host_on_removed, with_object=True)
            add(scene, slicer.vtkMRMLScene.EndCloseEvent, self._host_refill)
            add(scene, slicer.vtkMRMLScene.EndBatchProcessEvent, self._host_refill)
        first = self.nodeFromIndex(0) if not self._host_none and self.nodeCount() else None
        wanted = old_id if had_nodes else (self._host_requested or (first.GetID() if first is not None else ""))
        self._host_requested = ""
        self._host_choose(wanted)
        self._host_filling = False
        self._host_emit_current()
        self._host_hint()
        self.setEnabled(scene is not None)

    def nodes(self) -> tuple[Any, ...]:
        scene = self.mrmlScene()
        if scene is None:
            return ()
        ids = [self._host_model.item(row).data(NODE_ID_ROLE) for row in range(self._host_model.rowCount())]
        found = [scene.GetNodeByID(node_id) for node_id in ids if node_id]
        return tuple(node for node in found if node is not None)

    def _host_item(self, node: Any) -> QtGui.QStandardItem:
        item = QtGui.QStandardItem(node.GetName() or "")
        item.setData(node.GetID(), NODE_ID_ROLE)
        return item

    def _host_fill(self) -> None:
        """Write all items anew, without choosing."""
        self._host_node_observers.clear()
        self._host_model.clear()
        scene = self.mrmlScene()
        if self._host_none:
            self._host_model.appendRow(QtGui.QStandardItem(self._host_none_text))
        if scene is not None:
            everything = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
            for node in everything:
                if self._host_shows(node):
                    self._host_model.appendRow(self._host_item(node))
                    self._host_watch(node)
            for text, action in self._host_actions():
                item = QtGui.QStandardItem(text)
                item.setData(action, ACTION_ROLE)
                if action == "separator":
                    item.setFlags(QtCore.Qt.NoItemFlags)
                    item.setData("separator", QtCore.Qt.AccessibleDescriptionRole)
                self._host_model.appendRow(item)

    def _host_actions(self) -> list[tuple[str, str]]:
        actions: list[tuple[str, str]] = []
        only = self.nodeTypeLabel(self._host_node_types[0]) if len(self._host_node_types) == 1 else "node"
        if self._host_rename:
            actions.append((f"Rename current {only}", "rename"))
        if self._host_edit:
            actions.append((f"Edit current {only}", "edit"))
        if self._host_add:
            for kind in self._host_node_types:
                actions.append((f"Create new {self.nodeTypeLabel(kind)}", f"create {kind}"))
        if self._host_remove:
            actions.append((f"Delete current {only}", "delete"))
        return [("", "separator"), *actions] if actions else []

    def _host_refill(self) -> None:
        """Write all items anew and keep the choice if it is still there."""
        kept = self.currentNodeID
        self._host_filling = True
        self._host_fill()
        self._host_choose(kept)
        self._host_filling = False
        if kept != self.currentNodeID:
            self._host_emit_current()

    def _host_watch(self, node: Any) -> None:
        self._host_node_observers.add(node, vtk.vtkCommand.ModifiedEvent, self._host_rename_items)

    def _host_rename_items(self) -> None:
        scene = self.mrmlScene()
        for row in range(self._host_model.rowCount()):
            item = self._host_model.item(row)
            node = scene.GetNodeByID(item.data(NODE_ID_ROLE)) if scene and item.data(NODE_ID_ROLE) else None
            if node is not None and item.text() != (node.GetName() or ""):
                item.setText(node.GetName() or "")

    def _host_on_added(self, node: Any) -> None:
        if node is None or not self._host_shows(node):
            return
        last = max((row for row in range(self._host_model.rowCount()) if self._host_row_id(row)), default=-1)
        position = last + 1 if last >= 0 else int(self._host_none)
        self._host_watch(node)
        self._host_model.insertRow(position, self._host_item(node))
        self.nodeAdded.emit(node)

    def _host_on_removed(self, node: Any) -> None:
        for row in range(self._host_model.rowCount()):
            if node is not None and self._host_row_id(row) == node.GetID():
                self.nodeAboutToBeRemoved.emit(node)
                self._host_model.removeRow(row)
                break
        else:
            return
        if self.currentNode() is None:
            self.setCurrentNode(None)

    def _host_row_id(self, row: int) -> str:
        item = self._host_model.item(row)
        return (item.data(NODE_ID_ROLE) or "") if item is not None else ""

    # --- the choice ------------------------------------------------------------------------------------------------

    def _host_choose(self, node_id: str) -> None:
        for row in range(self._host_model.rowCount()):
            if node_id and self._host_row_id(row) == node_id:
                self._host_combo.setCurrentIndex(row)
                return
        self._host_combo.setCurrentIndex(0 if self._host_none else -1)

    def _host_emit_current(self, _row: int = -1) -> None:
        if self._host_filling:
            return
        index, node = self._host_combo.currentIndex, self.currentNode()
        nothing = 0 if self._host_none else -1
        if node is None and index != nothing:
            # QComboBox moved on to an action: take the last node instead.
            if self.nodeCount():
                self.setCurrentNode(self.nodeFromIndex(self.nodeCount() - 1))
            return
        self.currentNodeChanged.emit(node)
        self._host_validity_changed.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _host_activated(self, row: int) -> None:
        item = self._host_model.item(row)
        action = item.data(ACTION_ROLE) if item is not None else None
        if action is None:
            self.nodeActivated.emit(self.currentNode())
        elif action == "delete":
            self.removeCurrentNode()
        elif action.startswith("create "):
            node = self.addNode(action.split(" ", 1)[1])
            if node is not None:
                self.setCurrentNode(node)
                self.nodeAddedByUserAction.emit(node)
        elif action != "separator":
            raise NotInHost("qMRMLNodeComboBox", f"item '{item.text()}'")

    def currentNode(self) -> Any:
        node_id, scene = self._host_row_id(self._host_combo.currentIndex), self.mrmlScene()
        return scene.GetNodeByID(node_id) if scene is not None and node_id else None

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise TypeError(f"setCurrentNode takes a node or None, not a {type(node).__name__}.")
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    @QtCore.Slot(str)
    def setCurrentNodeID(self, node_id: str | None) -> None:
        if self.mrmlScene() is None:
            self._host_requested = node_id or ""
        self._host_choose(node_id or "")

    @QtCore.Slot(int)
    def setCurrentNodeIndex(self, index: int) -> None:
        index = index if index < self.nodeCount() else -1
        self._host_combo.setCurrentIndex(index + 1 if self._host_none else index)

    def nodeCount(self) -> int:
        return len(self.nodes())

    def nodeFromIndex(self, index: int) -> Any:
        found = self.nodes()
        return found[index] if 0 <= index < len(found) else None

    # --- properties ------------------------------------------------------------------------------------------------

    def setNodeTypes(self, kinds: Any) -> None:
        if isinstance(kinds, str):
            raise TypeError("nodeTypes is a list of class names, not one text.")
        self._host_node_types = tuple(kind for kind in kinds if kind)
        self._host_hint()
        self._host_refill()

    def _host_hint(self) -> None:
        label = self.nodeTypeLabel(self._host_node_types[0]) if self._host_node_types else "node"
        self._host_combo.setDefaultText(f"Select a {label}")

    def setHideChildNodeTypes(self, kinds: Any) -> None:
        self._host_hide_child_types = tuple(kinds)
        self._host_refill()

    def setNoneDisplay(self, text: str) -> None:
        self._host_none_text = text
        self._host_refill()

    def setSelectNodeUponCreation(self, select: bool) -> None:
        self._host_select_new = bool(select)

    setShowHidden, showHidden = _switch("_host_show_hidden")
    setShowChildNodeTypes, showChildNodeTypes = _switch("_host_show_children")
    setNoneEnabled, noneEnabled = _switch("_host_none")
    setAddEnabled, addEnabled = _switch("_host_add")
    setRemoveEnabled, removeEnabled = _switch("_host_remove")
    setEditEnabled, editEnabled = _switch("_host_edit")
    setRenameEnabled, renameEnabled = _switch("_host_rename")
    nodeTypes = stored("QStringList", "_host_node_types", setNodeTypes)
    hideChildNodeTypes = stored("QStringList", "_host_hide_child_types", setHideChildNodeTypes)
    noneDisplay = stored(str, "_host_none_text", setNoneDisplay)
    selectNodeUponCreation = stored(bool, "_host_select_new", setSelectNodeUponCreation)
    baseName = QtCore.Property(
        str,
        lambda self: next((self._host_base_names.get(k, "") for k in self._host_node_types), ""),
        NodeKindsMixin.setBaseName,
    )
    currentNodeID = QtCore.Property(
        str, lambda self: self.currentNode().GetID() if self.currentNode() is not None else "", setCurrentNodeID
    )
