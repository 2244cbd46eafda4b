"""A pipeline on a volume node: segments into a segmentation node, or a filtered image into a volume node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from MedAISegmentLib.logic import MedAILogic, Step, readLabels, readVolume, requireNode
from MedAISegmentLib.mapnodes import addMaps
from MedAISegmentLib.pipelines import filled, givesSegments, plainSteps
from MedAISegmentLib.runs import InputGuard, SceneRun
from MedAISegmentLib.seeds import Placed, readBox, readGrid, readSeeds
from MedAISegmentLib.undo import Undo

SEGMENT, FILTER, PREDICT = (f"medai.segment.tasks:{name}" for name in ("segment", "apply", "predict"))
KEEPS_THE_GRID = ("gaussian", "median")
"""Filters after which a network's maps still lie on the image's grid: the panel's own ways of cleaning."""
DEFAULT_SETTINGS = {"pipeline": [{"step": "threshold", "settings": {"method": "otsu"}}]}


@dataclass(frozen=True)
class Work:
    """One run, read and checked.

    Parameters
    ----------
    task, inputs, settings
        What the library is asked for.
    guard : InputGuard
        What the result is tied to.
    flags : tuple of QCFlag
        What the image is not that the recipe expects.
    digest : str
        Of the image.
    """

    task: str
    inputs: dict[str, Any]
    settings: dict[str, Any]
    guard: InputGuard
    flags: tuple[Any, ...]
    digest: str

    def jobs(self) -> list[Step]:
        """Return the tasks in their order: one, or the cleaning and a network that also gives maps."""
        steps = [step for step in self.settings["pipeline"] if step.get("enabled", True)]
        network = steps[-1].get("settings", {}) if steps and steps[-1]["step"] == "unet" else {}
        plain = all(step["step"] in KEEPS_THE_GRID for step in steps[:-1])
        if network.get("uncertainty", "none") == "none" or not plain or "labels" in self.inputs:
            return [lambda _before: (self.task, self.inputs, self.settings)]
        options = {"model": network["model"], "options": {k: v for k, v in network.items() if k != "model"}}
        if len(steps) == 1:
            return [lambda _before: (PREDICT, self.inputs, options)]
        return [
            lambda _before: (FILTER, self.inputs, {"pipeline": steps[:-1]}),
            lambda before: (PREDICT, before, options),
        ]


class SegmentLogic(MedAILogic):
    """Pipelines on volume nodes; ``process`` waits for the result, ``start`` does not, ``undo`` goes one step back."""

    def __init__(self, parent: Any = None) -> None:
        MedAILogic.__init__(self, parent)
        self.undo = Undo()

    def process(
        self,
        volumeNode: Any,
        segmentationNode: Any = None,
        settings: dict[str, Any] | None = None,
        *,
        startNode: Any = None,
        seedsNode: Any = None,
        roiNode: Any = None,
        referenceNode: Any = None,
        outputVolumeNode: Any = None,
    ) -> dict[str, Any]:
        """Run a pipeline on a volume and wait for the result.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
        segmentationNode : vtkMRMLSegmentationNode, optional
            Its content is replaced; a new node if not given.
        settings : dict, optional
            ``{"pipeline": [{"step": ..., "settings": {...}}, ...]}``; Otsu's threshold if not given.
        startNode : vtkMRMLSegmentationNode, optional
            Segments to start from, on the volume's grid: to repair, to work inside, or as painted seeds.
        seedsNode : vtkMRMLMarkupsFiducialNode, optional
            Points that become the ``seeds`` of every step that has them; see :func:`MedAISegmentLib.seeds.readSeeds`.
        roiNode : vtkMRMLMarkupsROINode, optional
            Box that becomes ``centre_ras`` and ``size_mm`` of every step that has them.
        referenceNode : vtkMRMLVolumeNode, optional
            Image whose grid becomes the ``grid`` of every step that has one.
        outputVolumeNode : vtkMRMLScalarVolumeNode, optional
            Its content is replaced if the steps give no segments; a new node if not given.

        Returns
        -------
        dict
            With segments: ``segmentationNodeId``, ``volumesMl`` by segment name, ``flags``, ``maps`` (names of volume
            nodes, if a network was asked how sure it is) and what the library tells of the run.  With filters only:
            ``volumeNodeId`` and ``flags``.
        """
        outputs = (segmentationNode, outputVolumeNode)
        sources = (
            (seedsNode, _("list of points"), readSeeds),
            (roiNode, _("box"), readBox),
            (referenceNode, _("reference image"), readGrid),
        )
        work = self._prepare(volumeNode, outputs, settings, startNode, sources)
        result: dict[str, Any] = {}
        for job in work.jobs():
            result = self.runHere(*job(result))
        return self._deliverer(work, volumeNode, outputs)(result)

    def start(
        self,
        volumeNode: Any,
        segmentationNode: Any = None,
        settings: dict[str, Any] | None = None,
        *,
        startNode: Any = None,
        seedsNode: Any = None,
        roiNode: Any = None,
        referenceNode: Any = None,
        outputVolumeNode: Any = None,
        showSurface: bool = False,
        **callbacks: Any,
    ) -> SceneRun:
        """Run a pipeline in the worker process and return at once; see :class:`MedAISegmentLib.runs.SceneRun`."""
        outputs = (segmentationNode, outputVolumeNode)
        sources = (
            (seedsNode, _("list of points"), readSeeds),
            (roiNode, _("box"), readBox),
            (referenceNode, _("reference image"), readGrid),
        )
        work = self._prepare(volumeNode, outputs, settings, startNode, sources)
        return self.startInWorker(
            work.jobs(),
            work.guard,
            self._deliverer(work, volumeNode, outputs, showSurface),
            output=segmentationNode if work.task == SEGMENT else outputVolumeNode,
            **callbacks,
        )

    def _prepare(
        self,
        volumeNode: Any,
        outputs: tuple[Any, Any],
        settings: dict[str, Any] | None,
        startNode: Any,
        sources: Sequence[tuple[Any, str, Callable[[Any], Placed]]],
    ) -> Work:
        """Find out before the work what cannot go, and read everything that it needs."""
        from medai.segment.pipeline import parse_pipeline
        from medai.segment.recipes import expectation_flags

        given = settings or DEFAULT_SETTINGS
        placed = [(node, role, read, read(node)) for node, role, read in sources if node is not None]
        steps = filled(plainSteps(given["pipeline"]), *(found.values for _node, _role, _read, found in placed))
        parse_pipeline(steps, result="any", has_labels=startNode is not None)
        task = SEGMENT if givesSegments(steps) else FILTER
        self._refuseOutput(outputs[0 if task == SEGMENT else 1], task)
        volume = readVolume(volumeNode)
        guard = InputGuard(slicer.mrmlScene)
        guard.requireSame(volumeNode, _("image"), volume, lambda: readVolume(volumeNode))
        guard.require(outputs[0 if task == SEGMENT else 1], _("segmentation") if task == SEGMENT else _("output image"))
        expects = given.get("expects", {})
        flags = expectation_flags(volume, expects.get("modality", ""), expects.get("hounsfield", False))
        inputs = {"volume": volume}
        if startNode is not None:
            inputs["labels"] = readLabels(startNode, volumeNode)
            guard.requireSame(
                startNode, _("segmentation to start from"), inputs["labels"], lambda: readLabels(startNode, volumeNode)
            )
        for node, role, read, found in placed:
            guard.requireSame(node, role, found, lambda node=node, read=read: read(node))
        return Work(task, inputs, {"pipeline": steps}, guard, flags, volume.digest())

    def _refuseOutput(self, node: Any, task: str) -> None:
        """Find out before the work, not after it, that the result has no place to go."""
        from medai.core.errors import SceneError

        if node is None:
            return
        requireNode(node, _("segmentation") if task == SEGMENT else _("output image"))
        if node.GetParentTransformNode() is not None:
            raise SceneError(
                _("The output segmentation is under a transform.")
                if task == SEGMENT
                else _("The output image is under a transform."),
                hint=_("Remove the transform, or choose another one."),
            )

    def _deliverer(
        self, work: Work, volumeNode: Any, outputs: tuple[Any, Any], showSurface: bool = False
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Return what puts a result into the scene and remembers how to take it back."""
        if work.task == SEGMENT:
            return lambda result: self._deliverSegments(result, work, volumeNode, outputs[0], showSurface)
        return lambda result: self._deliverImage(result, work, volumeNode, outputs[1])

    def _deliverSegments(
        self, result: dict[str, Any], work: Work, volumeNode: Any, segmentationNode: Any, showSurface: bool
    ) -> dict[str, Any]:
        from medai.mrml import add_surfaces, labels_to_segmentation

        labels = result["labels"]
        labels = labels.replace(flags=labels.flags + tuple(f for f in work.flags if f not in labels.flags))
        before = self.undo.stateOf(segmentationNode)
        name = None
        if segmentationNode is None:
            name = slicer.mrmlScene.GenerateUniqueName(_("{image} segmentation").format(image=volumeNode.GetName()))
        # The guard has just compared the image with the one that was read, so its digest need not be computed again.
        facts = {"pipeline": work.settings["pipeline"], **result["info"], "input_sha256": work.digest}
        node = labels_to_segmentation(
            labels, slicer.mrmlScene, name, reference=volumeNode, node=segmentationNode, provenance=facts
        )
        if showSurface:
            add_surfaces(node)
        maps = addMaps(result.get("maps", {}), volumeNode, facts)
        self.undo.keep(node, before, tuple(maps))
        return {
            **result["info"],
            "maps": [item.GetName() for item in maps],
            "segmentationNodeId": node.GetID(),
            "volumesMl": labels.volumes_ml(),
            "flags": [flag.to_dict() for flag in labels.flags],
        }

    def _deliverImage(self, result: dict[str, Any], work: Work, volumeNode: Any, outputNode: Any) -> dict[str, Any]:
        from medai.mrml import volume_to_node

        volume = result["volume"].with_flags(*work.flags)
        before = self.undo.stateOf(outputNode)
        name = None
        if outputNode is None:
            name = slicer.mrmlScene.GenerateUniqueName(_("{image} filtered").format(image=volumeNode.GetName()))
        facts = {"pipeline": work.settings["pipeline"], "input_sha256": work.digest}
        node = volume_to_node(volume, slicer.mrmlScene, name, node=outputNode, provenance=facts)
        self.undo.keep(node, before)
        return {"volumeNodeId": node.GetID(), "flags": [flag.to_dict() for flag in volume.flags]}
