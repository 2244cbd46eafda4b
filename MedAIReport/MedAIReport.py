"""MedAI Report: image, segments and features of the scene become report.json and one self-contained HTML page."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode, vtkMRMLTableNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from MedAISegmentLib.featurenodes import digestsOf, hasFeatures, readFeatures
from MedAISegmentLib.logic import MedAILogic, firstNode, guarded
from MedAISegmentLib.panel import MedAIPanel
from MedAISegmentLib.runs import SceneRun

EXTRACT = "medai.features.tasks:extract"
RENDER = "medai.report.tasks:render"


class MedAIReport(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("MedAI Report")
        parent.categories = ["MedAI"]
        parent.dependencies = ["MedAISegment", "MedAIFeatures", "Segmentations"]
        parent.contributors = ["The MedAIExtension developers"]
        parent.helpText = _(
            "Writes a report about an image and its segments: key images, volumes, features, quality flags and all that"
            " is needed to repeat it. Research use only - not for diagnosis."
        )
        parent.acknowledgementText = _(
            "A report names the model that made the segments, its training data and licence."
        )


@parameterNodeWrapper
class MedAIReportParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    table: vtkMRMLTableNode
    pseudonym: str = ""
    question: str = ""
    outputFolder: str = ""
    resample: bool = False


class MedAIReportWidget(MedAIPanel):
    applyText = _("Create report")

    def makeLogic(self):
        return MedAIReportLogic()

    def setupPanel(self):
        self._page = ""
        self.ui.browseButton.clicked.connect(self.onBrowse)
        self.ui.openButton.clicked.connect(self.onOpen)

    def fillDefaults(self):
        node = self._parameterNode
        if node.inputVolume is None:
            node.inputVolume = firstNode("vtkMRMLScalarVolumeNode")
        if node.segmentation is None:
            node.segmentation = firstNode("vtkMRMLSegmentationNode")

    def updatePanel(self):
        self.ui.openButton.setEnabled(bool(self._page))

    def whyNot(self):
        node = self._parameterNode
        if node.inputVolume is None:
            return _("Choose an image first.")
        if node.segmentation is None:
            return _("Choose a segmentation first; MedAI Segment or Segment Editor makes one.")
        if node.table is not None and not hasFeatures(node.table):
            return _("The table was not made by MedAI Features; choose another, or measure now.")
        if not node.outputFolder.strip():
            return _("Choose a folder for the report.")
        return ""

    def onBrowse(self):
        folder = qt.QFileDialog.getExistingDirectory(
            self.parent, _("Folder for the report"), self._parameterNode.outputFolder
        )
        if folder:
            self._parameterNode.outputFolder = folder

    def onOpen(self):
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._page))

    def startRun(self, callbacks):
        from MedAISegmentLib.dependencies import ensure

        ensure()
        node = self._parameterNode
        return self.logic.start(
            node.inputVolume,
            node.segmentation,
            node.outputFolder.strip(),
            node.table,
            question=node.question,
            pseudonym=node.pseudonym,
            resample=node.resample,
            **callbacks,
        )

    def finishedText(self, info):
        self._page = info["files"].get("html", "")
        lines = [_("Finished in {seconds:.1f} s.").format(seconds=info["elapsedSeconds"]), *info["summary"]]
        return "\n".join(lines)


class MedAIReportLogic(MedAILogic):
    """Reports about nodes; ``process`` waits for the result, ``start`` does not."""

    def getParameterNode(self):
        return MedAIReportParameterNode(super().getParameterNode())

    def process(
        self,
        volumeNode: Any,
        segmentationNode: Any,
        outputFolder: str,
        tableNode: Any = None,
        *,
        question: str = "",
        pseudonym: str = "",
        resample: bool = False,
    ) -> dict[str, Any]:
        """Write a report and wait for it.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
        segmentationNode : vtkMRMLSegmentationNode
        outputFolder : str
            Made if it does not exist; refused before anything is computed if it cannot be written to.
        tableNode : vtkMRMLTableNode, optional
            Made by MedAI Features from these two nodes; measured now if not given.
        question, pseudonym : str
            Texts of the report.
        resample : bool
            Take the segmentation's nearest voxel where it has another grid than the image.

        Returns
        -------
        dict
            ``files`` by renderer, ``summary``, ``light``, ``report_id``.
        """
        task = _Task(volumeNode, segmentationNode, outputFolder, tableNode, question, pseudonym, resample)
        try:
            result: dict[str, Any] = {}
            for step in task.steps:
                result = self.runHere(*step(result))
            return task.deliver(result)
        finally:
            task.release()

    def start(
        self,
        volumeNode: Any,
        segmentationNode: Any,
        outputFolder: str,
        tableNode: Any = None,
        *,
        question: str = "",
        pseudonym: str = "",
        resample: bool = False,
        **callbacks: Any,
    ) -> SceneRun:
        """Write a report in the worker process and return at once; see :class:`MedAISegmentLib.runs.SceneRun`."""
        task = _Task(volumeNode, segmentationNode, outputFolder, tableNode, question, pseudonym, resample)
        try:
            return self.startInWorker(
                task.steps, task.guard, task.deliver, output=task.folder, release=task.release, **callbacks
            )
        except BaseException:
            task.release()
            raise


class _Task:
    """One report: read from the scene when it is made, rendered into a private folder, moved when all is well."""

    def __init__(
        self,
        volumeNode: Any,
        segmentationNode: Any,
        outputFolder: str,
        tableNode: Any,
        question: str,
        pseudonym: str,
        resample: bool,
    ) -> None:
        from medai.core.atomic import ensure_folder
        from medai.mrml import provenance_of

        self.inputs, self.guard = guarded(volumeNode, segmentationNode, resample)
        self.guard.require(tableNode, _("table"))
        self.features: dict[str, Any] | None = None
        if tableNode is not None:
            self.features = readFeatures(tableNode, digestsOf(self.inputs)).to_dict()
        made = provenance_of(segmentationNode)
        if made.get("content_sha256") not in (None, self.inputs["labels"].digest()):
            made["edited_since"] = True
        self.inputs["labels"] = self.inputs["labels"].replace(meta=made)
        self.question, self.pseudonym = question.strip(), pseudonym.strip()
        self.folder = ensure_folder(outputFolder)
        self._staging = tempfile.TemporaryDirectory(prefix="medai-report-", ignore_cleanup_errors=True)
        self.steps: list[Callable[[dict[str, Any]], tuple[str, dict[str, Any], dict[str, Any]]]] = [self._render]
        if self.features is None:
            self.steps.insert(0, self._measure)

    def _measure(self, _before: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
        return EXTRACT, self.inputs, {}

    def _render(self, before: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
        from medai.core.provenance import software_provenance

        features = before.get("features", self.features)
        made = self.inputs["labels"].meta
        protocol = {"question": self.question, "pipeline": made.get("pipeline", []), "features": features["settings"]}
        settings: dict[str, Any] = {
            "folder": self._staging.name,
            "protocol": protocol,
            "provenance": software_provenance(),
            "times": {item["step"]: item["seconds"] for item in made.get("seconds", [])},
        }
        if self.pseudonym:
            settings["identity"] = {"pseudonym": self.pseudonym}
        return RENDER, {**self.inputs, "features": features}, settings

    def deliver(self, result: dict[str, Any]) -> dict[str, Any]:
        """Put the finished files where they were asked for; each replaces an old one as a whole."""
        from medai.core.atomic import atomic_path

        files = {}
        for name, path in result["files"].items():
            target = self.folder / Path(path).name
            with atomic_path(target) as temporary:
                temporary.write_bytes(Path(path).read_bytes())
            files[name] = str(target)
        return {**result, "files": files}

    def release(self) -> None:
        self._staging.cleanup()


class MedAIReportTest(ScriptedLoadableModuleTest):
    """Self test on a phantom made here; needs no data and no network."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_phantomReport()

    def test_phantomReport(self):
        import json

        from medai.core.geometry import Geometry
        from medai.core.labelmap import LabelMap, Segment
        from medai.core.volume import Volume
        from medai.mrml import labels_to_segmentation, volume_to_node

        array = np.zeros((12, 32, 32), np.uint8)
        array[3:9, 8:24, 8:24] = 1
        grid = Geometry.from_spacing(array.shape, (1.0, 1.0, 2.0))
        noise = np.random.default_rng(1).normal(100, 10, array.shape).astype(np.float32)
        volumeNode = volume_to_node(Volume(noise, grid), slicer.mrmlScene, "Phantom")
        labels = LabelMap(array, grid, (Segment(1, "Box"),))
        segmentationNode = labels_to_segmentation(labels, slicer.mrmlScene, "Boxes", reference=volumeNode)
        with tempfile.TemporaryDirectory() as folder:
            info = MedAIReportLogic().process(volumeNode, segmentationNode, folder)
            report = json.loads(Path(info["files"]["json"]).read_text(encoding="utf-8"))
            page = Path(info["files"]["html"]).read_text(encoding="utf-8")
        assert [finding["segment"] for finding in report["findings"]] == ["Box"]
        assert report["findings"][0]["volume"]["text"] == "3.07 mL"  # 16 x 16 x 6 voxels of 2 mm3
        assert "Research use only" in page
        logging.info("MedAIReport: the phantom's report is right")
