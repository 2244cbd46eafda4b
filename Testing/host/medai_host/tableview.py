"""qMRMLTableView: a table node as a read-only sheet."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from medai_host.declare import stored
from medai_host.mrmlbase import MRMLWidgetMixin, Observers
from medai_host.uiloader import stand_in


@stand_in
class qMRMLTableView(MRMLWidgetMixin, QtWidgets.QTableView):
    """Shows the columns of a vtkMRMLTableNode by their names; `transposed` shows them as rows."""

    mrmlSceneChanged = QtCore.Signal(object)
    HOST_SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    HOST_SLOTS = (
        "setMRMLScene(vtkMRMLScene*)",
        "setMRMLTableNode(vtkMRMLTableNode*)",
        "setMRMLTableNode(vtkMRMLNode*)",
    )

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_table_node: Any = None
        self._host_transposed = False
        self._host_first_row_locked = False
        self._host_first_column_locked = False
        self._host_observers = Observers()
        self._host_model = QtGui.QStandardItemModel(self)
        self.setModel(self._host_model)
        self.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)

    def _host_scene_changed(self, scene: Any) -> None:
        self._host_scene_observers = Observers()
        if scene is not None:
            self._host_scene_observers.add(
                scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._host_removed, with_object=True
            )

    def _host_removed(self, node: Any) -> None:
        if node is not None and node is self._host_table_node:
            self.setMRMLTableNode(None)

    def mrmlTableNode(self) -> Any:
        return self._host_table_node

    def setMRMLTableNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLTableNode):
            node = None
        self._host_observers.clear()
        self._host_table_node = node
        if node is not None:
            self._host_observers.add(node, vtk.vtkCommand.ModifiedEvent, self._host_update)
        self._host_update()

    def _host_update(self) -> None:
        self._host_model.clear()
        table = self._host_table_node.GetTable() if self._host_table_node is not None else None
        if table is None:
            return
        columns = [table.GetColumn(index) for index in range(table.GetNumberOfColumns())]
        texts = [[_cell(column, row) for row in range(table.GetNumberOfRows())] for column in columns]
        names = [column.GetName() or "" for column in columns]
        for cells in texts:
            items = [QtGui.QStandardItem(text) for text in cells]
            if self._host_transposed:
                self._host_model.appendRow(items)
            else:
                self._host_model.appendColumn(items)
        if self._host_transposed:
            self._host_model.setVerticalHeaderLabels(names)
        else:
            self._host_model.setHorizontalHeaderLabels(names)

    def setTransposed(self, transposed: bool) -> None:
        self._host_transposed = bool(transposed)
        self._host_update()

    def setFirstRowLocked(self, locked: bool) -> None:
        self._host_first_row_locked = bool(locked)

    def setFirstColumnLocked(self, locked: bool) -> None:
        self._host_first_column_locked = bool(locked)

    transposed = stored(bool, "_host_transposed", setTransposed)
    firstRowLocked = stored(bool, "_host_first_row_locked", setFirstRowLocked)
    firstColumnLocked = stored(bool, "_host_first_column_locked", setFirstColumnLocked)


def _cell(column: Any, row: int) -> str:
    if isinstance(column, vtk.vtkStringArray):
        return column.GetValue(row)
    if column.GetNumberOfComponents() > 1:
        return " ".join(f"{part:g}" for part in column.GetTuple(row))
    value = column.GetTuple1(row)
    return f"{int(value)}" if column.GetDataTypeAsString() not in ("float", "double") else f"{value:g}"
