"""What the three MedAI panels do alike: parameter node, Apply that becomes Cancel, progress, errors shown once."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import SlicerParameterNamePropertyName
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from MedAISegmentLib.logic import Step
from MedAISegmentLib.runs import InputGuard, SceneRun


class MedAIPanel(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """A module widget with one long operation.

    A panel names its ``applyText``, makes its logic and parameter node, and implements :meth:`setupPanel`,
    :meth:`whyNot`, :meth:`startRun` and :meth:`finishedText`.  Its .ui has ``inputsGroup``, ``methodGroup``,
    ``outputGroup``, ``applyButton``, ``progressBar`` and ``statusLabel``.

    Values are written with setters and read from the parameter node, never from a widget's Qt property, so that the
    panel does not depend on how Qt is bound to Python.
    """

    applyText = "Apply"
    groups = ("inputsGroup", "methodGroup", "outputGroup", "advancedGroup")

    def __init__(self, parent: Any = None) -> None:
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self.ui: Any = None
        self._parameterNode: Any = None
        self._guiTag: Any = None
        self._run: SceneRun | None = None
        self._entered = False
        self._fresh = True  # nothing was started yet: the status line says what is missing
        ScriptedLoadableModuleWidget.__init__(self, parent)

    # What a panel implements

    def makeLogic(self) -> Any:
        """Return the module's logic."""
        raise NotImplementedError

    def setupPanel(self) -> None:
        """Connect what only this panel has."""

    def updatePanel(self) -> None:
        """Show or hide what depends on the parameters; called on every change of the parameter node."""

    def fillDefaults(self) -> None:
        """Choose inputs that are obvious, to save clicks."""

    def whyNot(self) -> str:
        """Why the operation cannot start now, or nothing."""
        raise NotImplementedError

    def startRun(self, callbacks: dict[str, Any]) -> SceneRun:
        """Ensure the dependencies and start the operation."""
        raise NotImplementedError

    def finishedText(self, info: dict[str, Any]) -> str:
        """Return the status text after a run, for people."""
        raise NotImplementedError

    # Slicer's life cycle

    def setup(self) -> None:
        super().setup()
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.makeLogic()
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.clicked.connect(self.onApply)
        self.setupPanel()
        self._showIdle("")
        self.initializeParameterNode()

    def enter(self) -> None:
        self._entered = True
        self.initializeParameterNode()

    def exit(self) -> None:
        self._entered = False
        self.setParameterNode(None)

    def cleanup(self) -> None:
        """End a run that is going on and the worker process with it."""
        if self._run is not None:
            self._run.abandon("")
        self.setParameterNode(None)
        self.removeObservers()
        if self.logic is not None:
            self.logic.close()

    def onSceneStartClose(self, _caller: Any, _event: Any) -> None:
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller: Any, _event: Any) -> None:
        if self._entered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())
        self.fillDefaults()
        self._onParameterChanged()

    def setParameterNode(self, parameterNode: Any) -> None:
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(
                self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterChanged
            )
        self._parameterNode = parameterNode
        if parameterNode is not None:
            # connectGui() makes the same connections, but Slicer's does not return the tag that takes them back.
            fields = [(widget.property(SlicerParameterNamePropertyName), widget) for widget in vars(self.ui).values()]
            self._guiTag = parameterNode.connectParametersToGui({name: widget for name, widget in fields if name})
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterChanged)

    def parameters(self) -> Any:
        """Return the parameter node, also while another module is open and this panel shows nothing."""
        return self._parameterNode if self._parameterNode is not None else self.logic.getParameterNode()

    def _onParameterChanged(self, _caller: Any = None, _event: Any = None) -> None:
        if self._parameterNode is None:
            return
        self.updatePanel()
        if self._run is None:
            reason = self.whyNot()
            self.ui.applyButton.setEnabled(not reason)
            if self._fresh:
                self.ui.statusLabel.setText(reason or _("Ready."))
            self.ui.applyButton.setToolTip(reason or _("Start; the work runs outside Slicer and can be cancelled."))

    # The operation

    def onApply(self) -> None:
        """Start, or cancel what is going on: the button is one and the same."""
        if self._run is not None:
            self.ui.applyButton.setEnabled(False)
            self.ui.statusLabel.setText(_("Cancelling..."))
            self._run.cancel()
            return
        self._fresh = False
        with self.errorsShownOnce():
            self.ui.statusLabel.setText(_("Starting..."))
            self._run = self.startRun(
                {
                    "onProgress": self._onProgress,
                    "onFinished": self._onFinished,
                    "onFailed": self._onFailed,
                    "onStopped": self._onStopped,
                }
            )
            self._showBusy()

    def runTasks(
        self,
        steps: list[Step],
        deliver: Callable[[dict[str, Any]], dict[str, Any]],
        failed: Callable[[Exception], str] | None = None,
    ) -> None:
        """Run tasks of the library that need no image, with the panel's progress and Cancel.

        Parameters
        ----------
        steps, deliver
            See :meth:`MedAISegmentLib.logic.MedAILogic.startInWorker`; ``deliver`` returns ``{"text": ...}``.
        failed : callable, optional
            Gets the error and returns what to say, nothing if it has started another run, or raises it.
        """

        def onFailed(error: Exception) -> None:
            self._showIdle("")
            with self.errorsShownOnce():
                text = failed(error) if failed is not None else _raised(error)
                if text:
                    self._showIdle(text)

        self._fresh = False
        self._run = self.logic.startInWorker(
            steps,
            InputGuard(slicer.mrmlScene),
            deliver,
            onProgress=self._onProgress,
            onFinished=self._onFinished,
            onFailed=onFailed,
            onStopped=self._onStopped,
        )
        self._showBusy()

    @contextmanager
    def errorsShownOnce(self) -> Iterator[None]:
        """Show an error of the block in one dialog and in the status line, and go on."""
        try:
            yield
        except Exception as error:
            self._onFailed(error)

    def _onProgress(self, fraction: float, message: str) -> None:
        self.ui.progressBar.setValue(round(100 * min(max(fraction, 0.0), 1.0)))
        if message:
            self.ui.statusLabel.setText(message)

    def _onFinished(self, info: dict[str, Any]) -> None:
        self._showIdle(self.finishedText(info))

    def _onStopped(self, reason: str) -> None:
        self._showIdle(reason)

    def _onFailed(self, error: Exception) -> None:
        from medai.core.errors import MedAIError
        from MedAISegmentLib.dependencies import Declined

        if isinstance(error, Declined):
            self._showIdle(_("Nothing was installed, so nothing was started."))
            return
        if isinstance(error, MedAIError):
            text = str(error)
        else:
            # The text of an unforeseen error may hold anything, a patient's name too: only its place is logged.
            logging.error("MedAI: %s at\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            text = _("Something unexpected went wrong ({kind}). The Python console has the details.").format(
                kind=type(error).__name__
            )
        self._showIdle(_("Failed: {text}").format(text=text))
        slicer.util.errorDisplay(text, windowTitle=self.moduleName)

    def _showBusy(self) -> None:
        self.ui.applyButton.setText(_("Cancel"))
        self.ui.applyButton.setToolTip(_("Stop the run; nothing is changed."))
        self.ui.progressBar.setValue(0)
        self.ui.progressBar.setVisible(True)
        self._setGroupsEnabled(False)

    def _showIdle(self, status: str) -> None:
        self._run = None
        self.ui.applyButton.setText(self.applyText)
        self.ui.progressBar.setVisible(False)
        self._setGroupsEnabled(True)
        if status:
            self.ui.statusLabel.setText(status)
        self._onParameterChanged()

    def _setGroupsEnabled(self, enabled: bool) -> None:
        for name in self.groups:
            if hasattr(self.ui, name):
                getattr(self.ui, name).setEnabled(enabled)

    def showRow(self, name: str, visible: bool) -> None:
        """Show or hide one row of a form: ``nameLabel`` and ``nameField``."""
        getattr(self.ui, f"{name}Label").setVisible(visible)
        getattr(self.ui, f"{name}Field").setVisible(visible)


def _raised(error: Exception) -> str:
    raise error
