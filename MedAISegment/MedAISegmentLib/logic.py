"""What the logics of the three MedAI modules share: one task of the library, run here or in a warm worker."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from MedAISegmentLib.runs import InputGuard, SceneRun, refuseBusyOutput

STOP_SECONDS = 3.0
Step = Callable[[dict[str, Any]], tuple[str, dict[str, Any], dict[str, Any]]]


class MedAILogic(ScriptedLoadableModuleLogic):
    """A module's logic around tasks of the library, named ``package.module:function``."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self, parent)
        self._runner: Any = None
        self._job: Any = None
        self._aside: Any = None

    def close(self) -> None:
        """End the worker process, if there is one."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def runHere(self, task: str, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        """Run a task in Slicer's own process and return its result; for the console and for tests."""
        from medai.core.jobs import InlineRunner

        return InlineRunner().submit(task, inputs, settings).result()

    def _waitForStopped(self) -> None:
        """Let an abandoned job leave the worker; it is asked first and then ended, which takes two seconds at most."""
        if self._aside is not None:
            self._aside.cancel()  # a run does not wait for a preview
        for job in (self._job, self._aside):
            if job is not None and not job.done and job.token.cancelled:
                with contextlib.suppress(Exception):
                    job.result(timeout=STOP_SECONDS)
        self._aside = None

    def submitAside(self, task: str, inputs: dict[str, Any], settings: dict[str, Any]) -> Any:
        """Submit a small job that gives way to every run, and return it; None while the worker is busy.

        The job's result belongs to whoever asked for it; nothing is written to the scene.
        """
        from medai.core.jobs import WorkerRunner

        busy = [job for job in (self._job, self._aside) if job is not None and not job.done]
        if busy:
            return None
        if self._runner is None:
            self._runner = WorkerRunner()
        self._aside = self._runner.submit(task, inputs, settings)
        return self._aside

    def startInWorker(
        self,
        steps: list[Step],
        guard: InputGuard,
        deliver: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        output: Any = None,
        **callbacks: Any,
    ) -> SceneRun:
        """Submit tasks to the worker process, one after the other, and return the run that watches them.

        Parameters
        ----------
        steps : list of callable
            Each gets the result of the one before (the first an empty dict) and returns (task, inputs, settings).
        guard, deliver, callbacks
            See :class:`SceneRun`; ``deliver`` gets the last result.
        output : node or path, optional
            What the result will replace; a second run on it is refused.
        """
        from medai.core.jobs import WorkerRunner

        isNode = hasattr(output, "GetID")
        key = output.GetID() if isNode else str(output or "")
        refuseBusyOutput(key, output.GetName() if isNode else key)
        if self._runner is None:
            self._runner = WorkerRunner()
        self._waitForStopped()
        started = time.monotonic()

        def timed(result: dict[str, Any]) -> dict[str, Any]:
            info = deliver(result)
            info["elapsedSeconds"] = time.monotonic() - started
            logging.info("%s: finished in %.1f s", self.moduleName, info["elapsedSeconds"])
            return info

        def submit(step: Step, result: dict[str, Any]) -> Any:
            self._job = self._runner.submit(*step(result))
            return self._job

        jobs = [lambda result, step=step: submit(step, result) for step in steps]
        return SceneRun(jobs, guard, timed, outputKey=key, **callbacks)


def requireNode(node: Any, what: str) -> None:
    """Raise :class:`medai.core.errors.SceneError` unless ``node`` is a node of the application's scene."""
    from medai.core.errors import SceneError

    if node is None or not slicer.mrmlScene.IsNodePresent(node):
        raise SceneError(_("No {what} is chosen.").format(what=what), hint=_("Choose one from the scene."))


def firstNode(className: str) -> Any:
    """Return the scene's first visible node of exactly this class (a label map volume is no image), or None."""
    scene = slicer.mrmlScene
    nodes = (scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className)))
    return next((node for node in nodes if node.GetClassName() == className and not node.GetHideFromEditors()), None)


def readVolume(volumeNode: Any) -> Any:
    """Return a volume node's content as a :class:`medai.core.volume.Volume`."""
    from medai.mrml import volume_from_node

    requireNode(volumeNode, _("image"))
    return volume_from_node(volumeNode)


def readLabels(segmentationNode: Any, volumeNode: Any, resample: bool = False) -> Any:
    """Return a segmentation node's content on a volume node's grid as a :class:`medai.core.labelmap.LabelMap`."""
    from medai.mrml import labels_from_segmentation

    requireNode(segmentationNode, _("segmentation"))
    return labels_from_segmentation(segmentationNode, reference=volumeNode, resample=resample)


def guarded(volumeNode: Any, segmentationNode: Any, resample: bool = False) -> tuple[dict[str, Any], InputGuard]:
    """Return image and labels of two nodes, and a guard that ties a result to both."""
    inputs = {"volume": readVolume(volumeNode), "labels": readLabels(segmentationNode, volumeNode, resample)}
    guard = InputGuard(slicer.mrmlScene)
    guard.requireSame(volumeNode, _("image"), inputs["volume"], lambda: readVolume(volumeNode))
    guard.requireSame(
        segmentationNode,
        _("segmentation"),
        inputs["labels"],
        lambda: readLabels(segmentationNode, volumeNode, resample),
    )
    return inputs, guard
