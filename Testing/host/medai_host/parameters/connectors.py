"""Which widget shows which type of parameter, and how."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from typing import Any

import slicer
from PySide6 import QtWidgets

from medai_host.ctkslider import ctkSliderWidget
from medai_host.ctkwidgets import ctkComboBox, ctkDoubleSpinBox, ctkPathLineEdit
from medai_host.nodecombobox import qMRMLNodeComboBox
from medai_host.parameters.annotations import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    findFirstAnnotation,
    splitAnnotations,
    unannotatedType,
)
from medai_host.parameters.storage import PATH_TYPES


class GuiConnector:
    """Reads and writes one widget; calls back when the person changes it."""

    signal = ""

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self._callback: Callable[[], None] | None = None

    def widget(self) -> Any:
        return self._widget

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        signal = getattr(self._widget, self.signal)
        if callback is None and self._callback is not None:
            signal.disconnect(self.changed)
        elif callback is not None and self._callback is None:
            signal.connect(self.changed)
        self._callback = callback

    def changed(self) -> None:
        if self._callback is not None:
            self._callback()

    def read(self) -> Any:
        raise NotImplementedError

    def write(self, value: Any) -> None:
        raise NotImplementedError


class _Attribute(GuiConnector):
    """A widget whose value is one of its attributes."""

    def __init__(
        self, widget: Any, signal: str, attribute: str, kind: Callable[[Any], Any], to_widget: Any = None
    ) -> None:
        super().__init__(widget)
        self.signal, self._attribute, self._kind, self._to_widget = signal, attribute, kind, to_widget or kind

    def read(self) -> Any:
        return self._kind(getattr(self._widget, self._attribute))

    def write(self, value: Any) -> None:
        setattr(self._widget, self._attribute, self._to_widget(value))


class _PlainText(GuiConnector):
    signal = "textChanged"

    def read(self) -> str:
        return self._widget.toPlainText()

    def write(self, value: str) -> None:
        self._widget.setPlainText(value)


class _Label(GuiConnector):
    """A label only shows: nothing comes back from it."""

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback

    def read(self) -> str:
        return self._widget.text

    def write(self, value: str) -> None:
        self._widget.setText(value)


class _Items(GuiConnector):
    """A combo box whose items are the choices."""

    signal = "currentIndexChanged"

    def __init__(self, widget: Any, labels: list[str], values: list[Any]) -> None:
        super().__init__(widget)
        self._values = values
        widget.clear()
        for label in labels:
            widget.addItem(label)

    def read(self) -> Any:
        return self._values[self._widget.currentIndex]

    def write(self, value: Any) -> None:
        if value not in self._values:
            raise ValueError(f"{value!r} is not among the choices {self._values}.")
        self._widget.currentIndex = self._values.index(value)


class _Node(GuiConnector):
    signal = "currentNodeChanged"

    def read(self) -> Any:
        return self._widget.currentNode()

    def write(self, value: Any) -> None:
        self._widget.setCurrentNode(value)


def _limit(widget: Any, notes: tuple[Any, ...], lowest: Any, highest: Any, needs_both: bool) -> None:
    """Give a spin box or slider the parameter's limits and step."""
    for note in (findFirstAnnotation(notes, Decimals), findFirstAnnotation(notes, SingleStep)):
        if isinstance(note, Decimals):
            widget.decimals = note.value
        elif isinstance(note, SingleStep):
            widget.singleStep = note.value
    within = findFirstAnnotation(notes, WithinRange)
    low, high = findFirstAnnotation(notes, Minimum), findFirstAnnotation(notes, Maximum)
    if needs_both and within is None and (low is None or high is None):
        raise RuntimeError("A slider needs a parameter with a lowest and a highest value.")
    widget.minimum = within.minimum if within is not None else (low.minimum if low is not None else lowest)
    widget.maximum = within.maximum if within is not None else (high.maximum if high is not None else highest)


def node_types(hint: Any) -> tuple[str, ...] | None:
    """The node classes of a node parameter, or None if it is not one."""
    kind = unannotatedType(hint)
    parts = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    parts = tuple(unannotatedType(part) for part in parts)
    if not all(isinstance(part, type) and issubclass(part, slicer.vtkMRMLNode | None) for part in parts):
        return None
    return tuple(part().GetClassName() for part in parts if part is not type(None)) or None


def _make(widget: Any, hint: Any) -> GuiConnector | None:
    kind, notes = splitAnnotations(hint)
    exact = type(widget)
    if kind is bool and exact in (QtWidgets.QCheckBox, QtWidgets.QPushButton):
        if exact is QtWidgets.QPushButton:
            widget.checkable = True
        return _Attribute(widget, "toggled", "checked", bool)
    if kind is int and exact in (QtWidgets.QSpinBox, QtWidgets.QSlider):
        _limit(widget, notes, -(2**31), 2**31 - 1, exact is QtWidgets.QSlider)
        return _Attribute(widget, "valueChanged", "value", int)
    if kind is float and exact in (QtWidgets.QDoubleSpinBox, ctkDoubleSpinBox, ctkSliderWidget):
        _limit(widget, notes, float("-inf"), float("inf"), exact is ctkSliderWidget)
        return _Attribute(widget, "valueChanged", "value", float)
    if exact in (QtWidgets.QComboBox, ctkComboBox) and kind in (int, float, str, bool):
        choice = findFirstAnnotation(notes, Choice)
        if choice is None:
            raise RuntimeError("A combo box needs a parameter that is annotated with Choice.")
        return _Items(widget, [str(c) for c in choice.choices], list(choice.choices))
    if exact in (QtWidgets.QComboBox, ctkComboBox) and isinstance(kind, type) and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda member: member.name)
        return _Items(widget, [label(member) for member in kind], list(kind))
    if exact is QtWidgets.QLineEdit and kind is str:
        return _Attribute(widget, "textChanged", "text", str)
    if exact is QtWidgets.QLabel and kind is str:
        return _Label(widget)
    if exact is QtWidgets.QTextEdit and kind is str:
        return _PlainText(widget)
    if exact is ctkPathLineEdit and kind in PATH_TYPES:
        return _Attribute(widget, "currentPathChanged", "currentPath", kind, str)
    if exact is qMRMLNodeComboBox and node_types(hint):
        widget.nodeTypes = node_types(hint)
        return _Node(widget)
    return None


def createGuiConnector(widget: Any, datatype: Any) -> GuiConnector:
    """The connector for a widget and a type; RuntimeError if Slicer has none."""
    connector = _make(widget, datatype)
    if connector is None:
        raise RuntimeError(f"No connector shows the type {datatype} in a {type(widget).__name__}.")
    return connector
