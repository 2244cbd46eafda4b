"""slicer.app, slicer.mrmlScene and the manager of modules."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from medai_host.errors import NotInHost
from medai_host.state import RECORD


class qSlicerModuleManager(QtCore.QObject):
    """slicer.app.moduleManager()."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleLoaded = QtCore.Signal(str)

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(slicer.modules.host_names())


class _StatusBar(QtWidgets.QStatusBar):
    def showMessage(self, message: str, duration: int = 0) -> None:
        RECORD.status_messages.append(message)
        super().showMessage(message, duration)


class qSlicerMainWindow(QtWidgets.QMainWindow):
    """A main window that is never shown; slicer.util.mainWindow() finds it by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setStatusBar(_StatusBar(self))


class qSlicerApplication(QtWidgets.QApplication):
    """slicer.app."""

    startupCompleted = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__(["MedAITest"])
        self.setApplicationName("Slicer")
        self.setOrganizationName("MedAITest")
        self._host_folder = Path(tempfile.mkdtemp(prefix="medai-host-"))
        self._host_manager = qSlicerModuleManager()
        self._host_logic: Any = None
        self._host_settings: Any = None
        atexit.register(shutil.rmtree, self._host_folder, ignore_errors=True)

    def testingEnabled(self) -> bool:
        return RECORD.testing

    def moduleManager(self) -> qSlicerModuleManager:
        return self._host_manager

    def applicationLogic(self) -> Any:
        return self._host_logic

    def layoutManager(self) -> None:
        """Return None, as in a Slicer that runs without views."""
        return None

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def userSettings(self) -> QtCore.QSettings:
        if self._host_settings is None:
            self._host_settings = QtCore.QSettings()
        return self._host_settings

    def settings(self) -> QtCore.QSettings:
        return self.userSettings()

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def mainWindow(self) -> Any:
        return slicer.util.mainWindow()

    def pauseRender(self) -> None:
        """Nothing is drawn here."""

    def resumeRender(self) -> None:
        """Nothing is drawn here."""

    def translate(self, context: str, text: str) -> str:
        return text

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"https://slicer.readthedocs.io/en/latest/user_guide/modules/{name.lower()}.html"

    def restart(self) -> None:
        raise NotInHost("slicer.app", "restart()")

    def _host_property(name: str) -> property:
        return property(lambda self: str(self._host_folder / name))

    temporaryPath = _host_property("tmp")
    slicerHome = _host_property("home")
    cachePath = _host_property("cache")
    extensionsInstallPath = _host_property("extensions")
    slicerUserSettingsFilePath = _host_property("settings.ini")
    del _host_property

    @property
    def revision(self) -> str:
        return "0"

    @property
    def majorVersion(self) -> int:
        return 5

    @property
    def minorVersion(self) -> int:
        return 12

    @property
    def os(self) -> str:
        return "linux"


# Said at each show() by the platform that draws into memory.
_NOISE = ("does not support propagateSizeHints", "does not support raise()")


def _qt_message(kind: Any, _context: Any, text: str) -> None:
    """Record Qt's warnings; some of them are the only sign of a mistake, such as a layout set twice."""
    if not any(noise in text for noise in _NOISE):
        RECORD.qt_messages.append(text)
        print(f"Qt: {text}", file=sys.stderr)


def start() -> qSlicerApplication:
    """Make the application, the scene and the main window, and enter them in `slicer`."""
    app = qSlicerApplication()
    (app._host_folder / "tmp").mkdir()
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    for scope in (QtCore.QSettings.UserScope, QtCore.QSettings.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, scope, str(app._host_folder / "settings"))
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    app._host_logic = logic
    slicer.app = app
    slicer.mrmlScene = scene
    slicer.qSlicerApplication = qSlicerApplication
    app._host_window = qSlicerMainWindow()  # kept alive here; found through topLevelWidgets()
    QtCore.qInstallMessageHandler(_qt_message)
    return app
