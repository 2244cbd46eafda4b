"""qt.QUiLoader over PySide6's: stand-in classes for Slicer's widgets, and no silent mistake in a .ui file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from medai_host.errors import NotInHost
from medai_host.pythonqt import has_method, has_property, loading, signal_of

# Classes of Slicer and CTK by name; filled by the modules that define them.
STAND_INS: dict[str, type] = {}


def stand_in(cls: type) -> type:
    """Class decorator: make the class known to .ui files."""
    STAND_INS[cls.__name__] = cls
    return cls


def widget_class(name: str) -> type:
    """The class for a class name of a .ui file."""
    found = STAND_INS.get(name)
    if found is None and name == "Line":
        found = QtWidgets.QFrame
    if found is None and name.startswith("Q"):
        found = getattr(QtWidgets, name, None)
    if found is None:
        raise NotInHost("The .ui loader", name, "It is the class of a widget.")
    return found


class _Loader(QtUiTools.QUiLoader):
    def __init__(self) -> None:
        super().__init__()
        self._host_errors: list[Exception] = []

    def createWidget(self, className: str, parent: Any = None, name: str = "") -> QtWidgets.QWidget:
        try:
            widget = widget_class(className)(parent)
        except Exception as error:
            # An exception cannot cross the C++ of the loader: it is kept, and raised when the loader is done.
            self._host_errors.append(error)
            widget = QtWidgets.QWidget(parent)
        widget.setObjectName(name)
        return widget


def _check_properties(root: ET.Element) -> None:
    for element in root.iter("widget"):
        class_name, object_name = element.get("class", ""), element.get("name", "")
        cls = widget_class(class_name)
        for prop in element.findall("property"):
            name = prop.get("name", "")
            if prop.get("stdset") == "0" or (class_name == "Line" and name == "orientation"):
                continue
            if not has_property(cls, name):
                raise NotInHost(class_name, name, f"It is a property of widget '{object_name}' in the .ui file.")


def _take_connections(root: ET.Element) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Split the connections: those whose arguments are VTK objects are removed from the XML, the rest stay in it."""
    taken, left = [], []
    for connections in root.iter("connections"):
        for element in list(connections):
            parts = tuple(element.findtext(part, "").strip() for part in ("sender", "signal", "receiver", "slot"))
            if "vtk" in parts[1] or "vtk" in parts[3]:
                connections.remove(element)
                taken.append(parts)
            else:
                left.append(parts)
    return taken, left


def _named(widget: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = widget if widget.objectName == name else widget.findChild(QtCore.QObject, name)
    if found is None:
        raise NotInHost("The .ui file", name, "A connection names it, but no object has that name.")
    return found


def _normalised(signature: str) -> str:
    return bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()


def _own_slot(receiver: QtCore.QObject, slot: str) -> Any:
    """The stand-in's signal or method for a slot with VTK arguments."""
    own = signal_of(receiver, slot)
    if own is not None:
        return own
    for base in type(receiver).__mro__:
        if _normalised(slot) in base.__dict__.get("HOST_SLOTS", ()):
            return getattr(receiver, slot.split("(")[0])
    raise NotInHost(type(receiver).__name__, slot, "A connection of the .ui file names this slot.")


def _check_connection(sender: QtCore.QObject, signal: str, receiver: QtCore.QObject, slot: str) -> None:
    """QUiLoader only warns when a connection cannot be made."""
    if not has_method(type(sender), signal, signals=True):
        raise NotInHost(type(sender).__name__, signal, "A connection of the .ui file names this signal.")
    if not has_method(type(receiver), slot, signals=True, slots=True):
        raise NotInHost(type(receiver).__name__, slot, "A connection of the .ui file names this slot.")


class QUiLoader:
    """qt.QUiLoader: `load(device, parent=None)`."""

    def load(self, device: QtCore.QIODevice, parent: Any = None) -> QtWidgets.QWidget | None:
        try:
            root = ET.fromstring(bytes(device.readAll()))
        except ET.ParseError:
            return None
        _check_properties(root)
        with_vtk, plain = _take_connections(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        loader = _Loader()
        loading.append(True)
        try:
            widget = loader.load(buffer, parent)
        finally:
            loading.clear()
        if loader._host_errors:
            raise loader._host_errors[0]
        if widget is None:
            return None
        for sender, signal, receiver, slot in plain:
            _check_connection(_named(widget, sender), signal, _named(widget, receiver), slot)
        for sender, signal, receiver, slot in with_vtk:
            _named(widget, sender).connect(signal, _own_slot(_named(widget, receiver), slot))
        return widget
