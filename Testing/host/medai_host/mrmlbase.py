"""What every stand-in that follows a MRML scene needs, and qMRMLWidget."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from medai_host.uiloader import stand_in


class Observers:
    """Observers of VTK objects that end with their owner; a callback gets the event's object, if it has one."""

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: int, method: Callable[..., None], with_object: bool = False) -> None:
        weak = weakref.WeakMethod(method)

        def call(_caller: Any, _event: str, data: Any = None) -> None:
            found = weak()
            # Python may still hold a widget that Qt has deleted.
            if found is None or (isinstance(found.__self__, QtCore.QObject) and not shiboken6.isValid(found.__self__)):
                return
            # A collection in the middle of the call could delete the widget's parent, and with it the widget.
            collecting = gc.isenabled()
            gc.disable()
            try:
                found(data) if with_object else found()
            finally:
                if collecting:
                    gc.enable()

        if with_object:
            call = vtk.calldata_type(vtk.VTK_OBJECT)(call)
        self._tags.append((subject, subject.AddObserver(event, call)))

    def clear(self) -> None:
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags = []


class MRMLWidgetMixin:
    """`mrmlScene`, `setMRMLScene` and the signal `mrmlSceneChanged`, for every widget that follows a scene."""

    HOST_SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    HOST_SLOTS = ("setMRMLScene(vtkMRMLScene*)",)

    def mrmlScene(self) -> Any:
        return getattr(self, "_host_scene", None)

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not None and not isinstance(scene, slicer.vtkMRMLScene):
            raise TypeError(f"setMRMLScene takes a vtkMRMLScene, not a {type(scene).__name__}.")
        if scene is self.mrmlScene():
            return
        self._host_scene = scene
        self._host_scene_changed(scene)
        self.mrmlSceneChanged.emit(scene)

    def _host_scene_changed(self, scene: Any) -> None:
        """Follow the new scene."""


@stand_in
class qMRMLWidget(MRMLWidgetMixin, QtWidgets.QWidget):
    """A widget that hands its scene on to the widgets connected to it."""

    mrmlSceneChanged = QtCore.Signal(object)
