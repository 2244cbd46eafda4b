"""slicer.modules, the objects behind it, and loading our modules as Slicer's factory does."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from medai_host.errors import NotInHost
from medai_host.mrmlbase import MRMLWidgetMixin

# Logics of Slicer's own modules that slicer-core has.
LOGICS = {
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "tables": "vtkSlicerTablesLogic",
    "plots": "vtkSlicerPlotsLogic",
    "models": "vtkSlicerModelsLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "colors": "vtkMRMLColorLogic",  # the logic of the module adds colour files, which slicer-core has not
    "terminologies": "vtkSlicerTerminologiesModuleLogic",
    "texts": "vtkSlicerTextsLogic",
}


# The application makes the logics of all modules when it starts; these add node classes, colour tables and conversions.
# The others are made when asked for, since they complain of files that slicer-core has not.
STARTED = ("colors", "segmentations", "volumes", "tables", "markups", "models", "plots", "texts")
CONVERSIONS = ("vtkBinaryLabelmapToClosedSurfaceConversionRule", "vtkClosedSurfaceToBinaryLabelmapConversionRule")


def start_logics() -> None:
    """Do what the modules of Slicer do at its start."""
    for name in STARTED:
        getattr(slicer.modules, name).logic()
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    known = {rule.GetClassName() for rule in factory.GetConverterRules()}
    for name in CONVERSIONS:
        if name not in known:
            factory.RegisterConverterRule(getattr(slicer, name)())


class LogicModule:
    """A module of Slicer of which only the logic is here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._logic: Any = None

    def logic(self) -> Any:
        if self._logic is None:
            self._logic = getattr(slicer, LOGICS[self.name])()
            if hasattr(self._logic, "SetMRMLApplicationLogic"):
                self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
            self._logic.SetMRMLScene(slicer.mrmlScene)
        return self._logic

    def __getattr__(self, name: str) -> Any:
        raise NotInHost(f"slicer.modules.{self.name}", name)


class Modules:
    """slicer.modules: modules by their name in lower case, and the widgets as `<Name>Widget`."""

    def __init__(self) -> None:
        self.__dict__["_found"] = {}

    def host_names(self) -> Iterator[str]:
        return (module.name for module in self._found.values() if isinstance(module, qSlicerScriptedLoadableModule))

    def __getattr__(self, name: str) -> Any:
        if name in LOGICS and name not in self._found:
            self._found[name] = LogicModule(name)
        if name not in self._found:
            raise NotInHost("slicer.modules", name)
        return self._found[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._found[name] = value


def _field(name: str, kind: type | tuple[type, ...]) -> property:
    def get(self: Any) -> Any:
        return self._host_fields[name]

    def put(self: Any, value: Any) -> None:
        if not isinstance(value, kind):
            raise TypeError(f"'{name}' of a module does not accept a {type(value).__name__}.")
        self._host_fields[name] = value

    return property(get, put)


class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The object that a scripted module gets as its parent."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._host_fields: dict[str, Any] = {
            "title": "",
            "categories": [],
            "dependencies": [],
            "contributors": [],
            "helpText": "",
            "acknowledgementText": "",
            "hidden": False,
            "icon": QtGui.QIcon(),
            "index": -1,
            "version": "",
            "widgetRepresentationCreationEnabled": True,
        }
        self._host_path = path
        self._host_instance: Any = None
        self._host_widget: Any = None

    title = _field("title", str)
    categories = _field("categories", (list, tuple))
    dependencies = _field("dependencies", (list, tuple))
    contributors = _field("contributors", (list, tuple))
    helpText = _field("helpText", str)
    acknowledgementText = _field("acknowledgementText", str)
    hidden = _field("hidden", bool)
    icon = _field("icon", QtGui.QIcon)
    index = _field("index", int)
    version = _field("version", str)
    widgetRepresentationCreationEnabled = _field("widgetRepresentationCreationEnabled", bool)

    @property
    def path(self) -> str:
        return self._host_path

    def self(self) -> Any:
        return self._host_instance

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def widgetRepresentation(self) -> Any:
        if self._host_widget is None:
            self._host_widget = self.createNewWidgetRepresentation()
        return self._host_widget

    def createNewWidgetRepresentation(self) -> Any:
        widget = qSlicerScriptedLoadableModuleWidget(self.name)
        widget._host_build()
        return widget


class qSlicerScriptedLoadableModuleWidget(MRMLWidgetMixin, QtWidgets.QWidget):
    """The panel that a scripted module's widget gets as its parent."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, module_name: str) -> None:
        super().__init__()
        self._host_module_name = module_name
        self._host_instance: Any = None
        self._host_entered = False
        self.setObjectName(f"{module_name}ModuleWidget")
        QtWidgets.QVBoxLayout(self)

    def _host_build(self) -> None:
        self.setMRMLScene(slicer.mrmlScene)
        kind = getattr(sys.modules[self._host_module_name], f"{self._host_module_name}Widget")
        self._host_instance = kind(self)
        setattr(slicer.modules, f"{self._host_module_name}Widget", self._host_instance)
        self._host_instance.setup()

    @property
    def isEntered(self) -> bool:
        return self._host_entered

    @property
    def moduleName(self) -> str:
        return self._host_module_name

    def self(self) -> Any:
        return self._host_instance

    def enter(self) -> None:
        self._host_entered = True
        getattr(self._host_instance, "enter", _nothing)()

    def exit(self) -> None:
        self._host_entered = False
        getattr(self._host_instance, "exit", _nothing)()

    def reload(self) -> None:
        entered = self._host_entered
        if entered:
            self.exit()
        self._host_build()
        if entered:
            self.enter()


def _nothing() -> None:
    """A module need not have enter() or exit()."""


def load_scripted_module(path: Path) -> qSlicerScriptedLoadableModule:
    """Import a module's file as Slicer does and make its module object.

    The module's folder goes on sys.path, the file is imported under its own name, and the class of that name gets the
    module object as its parent.
    """
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"There is no module file '{path.name}'.")
    python: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = python
    spec.loader.exec_module(python)
    module = qSlicerScriptedLoadableModule(name, str(path))
    kind: Callable[[Any], Any] = getattr(python, name)
    module._host_instance = kind(module)
    setattr(slicer.modules, name.lower(), module)
    setattr(slicer.modules, f"{name}Instance", module._host_instance)
    slicer.app.moduleManager().moduleLoaded.emit(name)
    return module


def unload_scripted_module(module: qSlicerScriptedLoadableModule) -> None:
    """Let the widget leave and clean up, as at the end of the application."""
    widget = module._host_widget
    if widget is not None:
        if widget.isEntered:
            widget.exit()
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(module.name)
        widget.hide()
        widget.deleteLater()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        module._host_widget = None
