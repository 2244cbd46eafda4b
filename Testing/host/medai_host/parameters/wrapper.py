"""parameterNodeWrapper: typed attributes over a vtkMRMLScriptedModuleNode, bound to widgets by their names."""

from __future__ import annotations

import weakref
from typing import Any

import slicer
import vtk
from PySide6 import QtWidgets

from medai_host.parameters.annotations import Default, unannotatedType
from medai_host.parameters.connectors import GuiConnector, createGuiConnector
from medai_host.parameters.packs import Member, isParameterPack, members_of, nestedParameterNames, split_name

SlicerParameterNamePropertyName = "SlicerParameterName"


class _Value:
    """One parameter in one node. A cached one is read again only when the node says that it was modified."""

    def __init__(self, member: Member, node: Any) -> None:
        self.member, self.node = member, node
        self.storage, self.name = member.serializer, member.basename
        self._writing = False
        if not self.storage.is_in(node, self.name):
            self.storage.write(node, self.name, member.first_value())
        if self.storage.cached:
            self._cache = self.storage.read(node, self.name)
            weak = weakref.WeakMethod(self._on_modified)
            self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: _call(weak))
            self._stop = weakref.finalize(self, node.RemoveObserver, self._tag)

    def _on_modified(self) -> None:
        if not self._writing:
            self._cache = self._fresh()

    def _fresh(self) -> Any:
        # A scene that was closed leaves an empty node: parameters come back with their defaults.
        if not self.storage.is_in(self.node, self.name):
            self.storage.write(self.node, self.name, self.member.first_value())
        return self.storage.read(self.node, self.name)

    def read(self) -> Any:
        return self._cache if self.storage.cached else self._fresh()

    def write(self, value: Any) -> None:
        if not self.storage.cached:
            self.storage.write(self.node, self.name, value)
            return
        self._writing = True
        try:
            # The cache must be right before any observer hears of the change.
            with slicer.util.NodeModify(self.node):
                self.storage.write(self.node, self.name, value)
                self._cache = self.storage.read(self.node, self.name)
        finally:
            self._writing = False


def _call(weak: weakref.WeakMethod[Any]) -> None:
    method = weak()
    if method is not None:
        method()


class _WrapperMethods:
    allParameters: dict[str, Member]

    def __init__(self, parameterNode: Any) -> None:
        if not isinstance(parameterNode, slicer.vtkMRMLNode):
            raise TypeError(f"A parameter node wrapper takes a node, not a {type(parameterNode).__name__}.")
        self.parameterNode = parameterNode
        self._guis: dict[int, dict[str, GuiConnector]] = {}
        self._next_tag = 0
        self._updating = False
        self._values = {name: _Value(member, parameterNode) for name, member in self.allParameters.items()}

    def getValue(self, name: str) -> Any:
        top, rest = _checked(self, name)
        value = self._values[top].read()
        return value if rest is None else value.getValue(rest)

    def setValue(self, name: str, value: Any) -> None:
        top, rest = _checked(self, name)
        if rest is None:
            self._values[top].write(value)
        else:
            self._values[top].read().setValue(rest, value)

    def default(self, name: str) -> Default:
        top, _ = _checked(self, name)
        return Default(self.allParameters[top].first_value())

    def isCached(self, name: str) -> bool:
        top, _ = _checked(self, name)
        return self.allParameters[top].serializer.cached

    @classmethod
    def dataType(cls, name: str) -> Any:
        top, rest = _checked(cls, name)
        hint = cls.allParameters[top].unalteredType
        return hint if rest is None else unannotatedType(hint).dataType(rest)

    def connectGui(self, gui: Any) -> int:
        """Bind every widget that has the property SlicerParameterName; `gui` is a widget or childWidgetVariables."""
        if isinstance(gui, QtWidgets.QWidget):
            candidates = gui.findChildren(QtWidgets.QWidget)
        else:
            candidates = list(gui.__dict__.values())
        named = ((widget.property(SlicerParameterNamePropertyName), widget) for widget in candidates)
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            _checked(self, name)
        connectors = {
            name: widget if isinstance(widget, GuiConnector) else createGuiConnector(widget, self.dataType(name))
            for name, widget in mapping.items()
        }
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda n=name, c=connector: self._from_gui(n, c))
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._to_gui())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for connector in self._guis.pop(tag, {}).values():
            connector.onChanged(None)

    def _from_gui(self, name: str, connector: GuiConnector) -> None:
        with slicer.util.NodeModify(self):
            if not self._updating:
                self.setValue(name, connector.read())

    def _to_gui(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in list(self._guis.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, was: Any) -> Any:
        return self.parameterNode.EndModify(was)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _checked(wrapper: Any, name: str) -> tuple[str, str | None]:
    top, rest = split_name(name)
    if top not in wrapper.allParameters:
        raise ValueError(f"There is no parameter '{top}', only {', '.join(wrapper.allParameters)}.")
    if rest is not None:
        pack = unannotatedType(wrapper.allParameters[top].unalteredType)
        if not isParameterPack(pack) or not any(
            full == rest or full.startswith(f"{rest}.") for full in nestedParameterNames(pack)
        ):
            raise ValueError(f"The parameter '{top}' has no part '{rest}'.")
    return top, rest


def _parameter_property(name: str) -> property:
    return property(lambda self: self._values[name].read(), lambda self, value: self._values[name].write(value))


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Class decorator: make the annotated members of a class typed views of a parameter node."""
    if classtype is None:
        return parameterNodeWrapper
    members = members_of(classtype)
    reserved = {name for name in vars(_WrapperMethods) if not name.startswith("_")} | {"allParameters"}
    taken = reserved & (set(members) | set(classtype.__dict__))
    if taken:
        raise ValueError(f"{', '.join(sorted(taken))} cannot be used in a parameterNodeWrapper.")
    body = {name: value for name, value in classtype.__dict__.items() if name not in ("__dict__", "__weakref__")}
    body |= {name: _parameter_property(name) for name in members}
    body |= {"allParameters": members, "_is_parameter_node_wrapper": True}
    body.pop("__init__", None)
    return type(classtype.__name__, (_WrapperMethods, *[b for b in classtype.__bases__ if b is not object]), body)


def isParameterNodeWrapper(candidate: Any) -> bool:
    """Whether a class or object is a parameter node wrapper."""
    return bool(getattr(candidate, "_is_parameter_node_wrapper", False))


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    """The child that shows a parameter, or None."""
    for child in widget.findChildren(QtWidgets.QWidget):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None
