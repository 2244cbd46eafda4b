"""The module `ctk`: stand-ins for the CTK widgets that our modules use."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from medai_host.declare import stored
from medai_host.dialogs import QFileDialog, ctkMessageBox
from medai_host.errors import NotInHost
from medai_host.uiloader import STAND_INS, stand_in

_HEADER_MARGIN = 6


class _Folding:
    """Hiding and showing the children, remembering which of them were hidden for another reason."""

    def _host_fold(self, expanded: bool) -> None:
        if expanded:
            hidden, self._host_hidden = self._host_hidden, []
            for child in hidden:
                child.setVisible(True)
            return
        children = [c for c in self.children() if isinstance(c, QtWidgets.QWidget) and not c.isHidden()]
        for child in children:
            child.setVisible(False)
        self._host_hidden += children

    def event(self, event: QtCore.QEvent) -> bool:
        # In a .ui file `collapsed` comes before the children: those that arrive later must be hidden too.
        late = (QtCore.QEvent.ChildPolished, QtCore.QEvent.LayoutRequest, QtCore.QEvent.Show)
        if event.type() in late and not self.checked:
            self._host_fold(False)
        return super().event(event)


@stand_in
class ctkCollapsibleButton(_Folding, QtWidgets.QAbstractButton):
    """A header that shows or hides the widgets below it."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, *args: Any) -> None:
        text = args[0] if args and isinstance(args[0], str) else ""
        parent = next((a for a in args if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self._host_hidden: list[QtWidgets.QWidget] = []
        self._host_collapsed_height = 10
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.toggled.connect(self._host_toggle)
        self._host_margins()

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def setCollapsedHeight(self, height: int) -> None:
        self._host_collapsed_height = height

    collapsed = QtCore.Property(bool, lambda self: not self.checked, setCollapsed)
    collapsedHeight = stored(int, "_host_collapsed_height", setCollapsedHeight)

    def _host_header_height(self) -> int:
        return self.fontMetrics().height() + 2 * _HEADER_MARGIN

    def _host_margins(self) -> None:
        self.setContentsMargins(4, self._host_header_height(), 4, 4)

    def _host_toggle(self, expanded: bool) -> None:
        self._host_fold(expanded)
        self.updateGeometry()
        self.update()
        self.contentsCollapsed.emit(not expanded)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() <= self._host_header_height()

    def sizeHint(self) -> QtCore.QSize:
        header = QtCore.QSize(
            self.fontMetrics().horizontalAdvance(self.text) + 40,
            self._host_header_height(),
        )
        layout = self.layout()
        if layout is None or not self.checked:
            return header
        return layout.totalSizeHint().expandedTo(header)

    def minimumSizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        if layout is None or not self.checked:
            return QtCore.QSize(40, self._host_header_height())
        return layout.totalMinimumSize()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        height = self._host_header_height()
        header = QtCore.QRect(0, 0, self.width, height)
        painter.fillRect(header, self.palette.brush(QtGui.QPalette.Button))
        painter.setPen(self.palette.color(QtGui.QPalette.Mid))
        painter.drawRect(header.adjusted(0, 0, -1, -1))
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(8, (height - 10) // 2, 10, 10)
        style = QtWidgets.QStyle
        self.style().drawPrimitive(
            style.PE_IndicatorArrowDown if self.checked else style.PE_IndicatorArrowRight, arrow, painter, self
        )
        painter.setPen(self.palette.color(QtGui.QPalette.ButtonText))
        painter.drawText(header.adjusted(26, 0, -4, 0), QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, self.text)
        painter.end()


@stand_in
class ctkCollapsibleGroupBox(_Folding, QtWidgets.QGroupBox):
    """A group box whose contents can be folded away; checked means open."""

    def __init__(self, *args: Any) -> None:
        title = args[0] if args and isinstance(args[0], str) else ""
        parent = next((a for a in args if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(title, parent)
        self._host_collapsed_height = 14
        self._host_hidden: list[QtWidgets.QWidget] = []
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._host_toggle)

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def setCollapsedHeight(self, height: int) -> None:
        self._host_collapsed_height = height

    collapsed = QtCore.Property(bool, lambda self: not self.checked, setCollapsed)
    collapsedHeight = stored(int, "_host_collapsed_height", setCollapsedHeight)

    def _host_toggle(self, expanded: bool) -> None:
        self._host_fold(expanded)
        self.setMaximumHeight(16777215 if expanded else self.fontMetrics().height() + self._host_collapsed_height)


@stand_in
class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    """A spin box for numbers with decimals."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_inverted = False

    def setInvertedControls(self, inverted: bool) -> None:
        self._host_inverted = bool(inverted)

    invertedControls = stored(bool, "_host_inverted", setInvertedControls)


@stand_in
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for 'nothing chosen'."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_default_text = ""

    def setDefaultText(self, text: str) -> None:
        self._host_default_text = text
        self.update()

    defaultText = stored(str, "_host_default_text", setDefaultText)

    def setCurrentUserDataAsString(self, data: str) -> None:
        self.setCurrentIndex(self.findData(data))

    currentUserDataAsString = QtCore.Property(
        str, lambda self: str(self.currentData) if self.currentData is not None else "", setCurrentUserDataAsString
    )

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        super().paintEvent(event)
        if self.currentIndex < 0 and self._host_default_text:
            painter = QtGui.QPainter(self)
            painter.setPen(self.palette.color(QtGui.QPalette.PlaceholderText))
            area = QtCore.QRect(0, 0, self.width, self.height).adjusted(6, 0, -24, 0)
            painter.drawText(area, QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, self._host_default_text)
            painter.end()


@stand_in
class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for the path of a file or folder, with a browse button."""

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)

    Dirs, Files, Drives, NoSymLinks = 0x001, 0x002, 0x004, 0x008
    AllEntries = Dirs | Files | Drives
    Readable, Writable, Executable = 0x010, 0x020, 0x040
    Hidden = 0x100
    NoDotAndDotDot, NoDot, NoDotDot = 0x1000, 0x2000, 0x4000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_filters = self.AllEntries
        self._host_label = ""
        self._host_name_filters: list[str] = []
        self._host_key = ""
        self._host_show_history = True
        self._host_combo = QtWidgets.QComboBox(self)
        self._host_combo.setEditable(True)
        self._host_combo.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
        self._host_combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._host_button = QtWidgets.QToolButton(self)
        self._host_button.setText("...")
        self._host_button.clicked.connect(self.browse)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._host_combo)
        row.addWidget(self._host_button)
        self._host_combo.editTextChanged.connect(self.currentPathChanged)

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._host_combo

    @QtCore.Slot(str)
    def setCurrentPath(self, path: str) -> None:
        if not isinstance(path, str):
            raise TypeError(f"currentPath is a string, not a {type(path).__name__}.")
        self._host_combo.setEditText(path)

    @QtCore.Slot()
    def browse(self) -> None:
        caption, start = self._host_label, self.currentPath
        if self._host_filters & self.Files == 0:
            path = QFileDialog.getExistingDirectory(self, caption, start)
        elif self._host_filters & self.Writable:
            path = QFileDialog.getSaveFileName(self, caption, start, ";;".join(self._host_name_filters))
        else:
            path = QFileDialog.getOpenFileName(self, caption, start, ";;".join(self._host_name_filters))
        if path:
            self.setCurrentPath(str(Path(path)))

    @QtCore.Slot()
    def addCurrentPathToHistory(self) -> None:
        path = self.currentPath
        if path and self._host_combo.findText(path) < 0:
            self._host_combo.insertItem(0, path)
            self._host_combo.setEditText(path)

    def setFilters(self, filters: int) -> None:
        self._host_filters = int(filters)

    def setLabel(self, label: str) -> None:
        self._host_label = label

    def setNameFilters(self, filters: Any) -> None:
        self._host_name_filters = list(filters)

    def setSettingKey(self, key: str) -> None:
        self._host_key = key

    def setShowBrowseButton(self, visible: bool) -> None:
        self._host_button.setVisible(bool(visible))

    def setShowHistoryButton(self, visible: bool) -> None:
        self._host_show_history = bool(visible)

    currentPath = QtCore.Property(str, lambda self: self._host_combo.currentText, setCurrentPath)
    filters = stored(int, "_host_filters", setFilters)
    label = stored(str, "_host_label", setLabel)
    nameFilters = stored("QStringList", "_host_name_filters", setNameFilters)
    settingKey = stored(str, "_host_key", setSettingKey)
    showBrowseButton = QtCore.Property(bool, lambda self: not self._host_button.isHidden(), setShowBrowseButton)
    showHistoryButton = stored(bool, "_host_show_history", setShowHistoryButton)


def _lookup(name: str) -> Any:
    if name == "ctkMessageBox":
        return ctkMessageBox
    if name.startswith("ctk") and name in STAND_INS:
        return STAND_INS[name]
    raise NotInHost("Module ctk", name)


def make() -> ModuleType:
    """Make the module and enter it in sys.modules."""
    module = ModuleType("ctk", "Stand-in of Slicer's ctk.")
    module.__getattr__ = _lookup  # type: ignore[method-assign]
    sys.modules["ctk"] = module
    return module
