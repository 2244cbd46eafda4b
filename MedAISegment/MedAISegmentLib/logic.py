"""What the logics of the three MedAI modules share: one task of the library, run here or in a warm worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from MedAISegmentLib.runs import InputGuard, SceneRun, refuseBusyOutput


class MedAILogic(ScriptedLoadableModuleLogic):
    """A module's logic around one task, named ``package.module:function``."""

    task = ""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self, parent)
        self._runner: Any = None

    def close(self) -> None:
        """End the worker process, if there is one."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def runHere(self, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        """Run the task in Slicer's own process and return its result; for the console and for tests."""
        from medai.core.jobs import InlineRunner

        return InlineRunner().submit(self.task, inputs, settings).result()

    def startInWorker(
        self,
        inputs: dict[str, Any],
        settings: dict[str, Any],
        guard: InputGuard,
        deliver: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        output: Any = None,
        **callbacks: Any,
    ) -> SceneRun:
        """Submit the task to the worker process and return the run that watches it; see :class:`SceneRun`.

        ``output`` is the node or the folder that the result will replace; None if it will be a new node.
        """
        from medai.core.jobs import WorkerRunner

        outputKey = output.GetID() if hasattr(output, "GetID") else str(output or "")
        refuseBusyOutput(outputKey, output.GetName() if hasattr(output, "GetName") else outputKey)
        if self._runner is None:
            self._runner = WorkerRunner()
        started = time.monotonic()

        def timed(result: dict[str, Any]) -> dict[str, Any]:
            info = deliver(result)
            info["seconds"] = time.monotonic() - started
            logging.info("%s: finished in %.1f s", self.moduleName, info["seconds"])
            return info

        job = self._runner.submit(self.task, inputs, settings)
        return SceneRun(job, guard, timed, outputKey=outputKey, **callbacks)


def requireNode(node: Any, what: str) -> None:
    """Raise :class:`medai.core.errors.SceneError` unless ``node`` is a node of the application's scene."""
    from medai.core.errors import SceneError

    if node is None or not slicer.mrmlScene.IsNodePresent(node):
        raise SceneError(_("No {what} is chosen.").format(what=what), hint=_("Choose one from the scene."))


def readVolume(volumeNode: Any) -> Any:
    """Return a volume node's content as a :class:`medai.core.volume.Volume`."""
    from medai.mrml import volume_from_node

    requireNode(volumeNode, _("image"))
    return volume_from_node(volumeNode)


def readLabels(segmentationNode: Any, volumeNode: Any) -> Any:
    """Return a segmentation node's content on a volume node's grid as a :class:`medai.core.labelmap.LabelMap`."""
    from medai.mrml import labels_from_segmentation

    requireNode(segmentationNode, _("segmentation"))
    return labels_from_segmentation(segmentationNode, reference=volumeNode)


def guarded(volumeNode: Any, segmentationNode: Any) -> tuple[dict[str, Any], InputGuard]:
    """Return image and labels of two nodes, and a guard that ties a result to both."""
    inputs = {"volume": readVolume(volumeNode), "labels": readLabels(segmentationNode, volumeNode)}
    guard = InputGuard(slicer.mrmlScene)
    guard.requireSame(volumeNode, _("image"), inputs["volume"], lambda: readVolume(volumeNode))
    guard.requireSame(
        segmentationNode, _("segmentation"), inputs["labels"], lambda: readLabels(segmentationNode, volumeNode)
    )
    return inputs, guard
