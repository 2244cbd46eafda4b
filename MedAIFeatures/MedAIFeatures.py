"""MedAI Features: numbers with units and IBSI codes for every segment, in a table of the scene."""

import logging
from typing import Annotated, Any

import numpy as np
import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode, vtkMRMLTableNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from MedAISegmentLib.checklist import CheckList
from MedAISegmentLib.featurenodes import digestsOf, hasFeatures, readFeatures, storeFeatures
from MedAISegmentLib.logic import MedAILogic, firstNode, guarded
from MedAISegmentLib.panel import MedAIPanel
from MedAISegmentLib.runs import SceneRun

TASK = "medai.features.tasks:extract"


class MedAIFeatures(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("MedAI Features")
        parent.categories = ["MedAI"]
        parent.dependencies = ["MedAISegment", "Segmentations", "Tables"]
        parent.contributors = ["The MedAIExtension developers"]
        parent.helpText = _(
            "Measures segments: shape and intensity, each number with its unit and its code in the IBSI manual."
            " Research use only - not for diagnosis."
        )
        parent.acknowledgementText = _(
            "The features follow the reference manual of the Image Biomarker Standardisation Initiative."
        )


@parameterNodeWrapper
class MedAIFeaturesParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    skippedSegments: list[str]
    skippedFamilies: list[str]
    outlierSigmas: Annotated[float, WithinRange(0.0, 10.0)] = 0.0
    resample: bool = False
    allowErrors: bool = False
    table: vtkMRMLTableNode


class MedAIFeaturesWidget(MedAIPanel):
    applyText = _("Measure")

    def makeLogic(self):
        return MedAIFeaturesLogic()

    def setupPanel(self):
        self._segments = CheckList(self.ui.segmentsField, self.onTicksChanged)
        self._families = CheckList(self.ui.familiesField, self.onTicksChanged)
        self.ui.copyButton.clicked.connect(self.onCopy)
        self.ui.saveButton.clicked.connect(self.onSave)

    def fillDefaults(self):
        node = self._parameterNode
        if node.inputVolume is None:
            node.inputVolume = firstNode("vtkMRMLScalarVolumeNode")
        if node.segmentation is None:
            node.segmentation = firstNode("vtkMRMLSegmentationNode")

    def updatePanel(self):
        node = self._parameterNode
        names = segmentNames(node.segmentation)
        self._segments.show([(name, name, "") for name in names], set(node.skippedSegments))
        self._families.show(self.logic.families(), set(node.skippedFamilies))
        self.ui.tableView.setMRMLTableNode(node.table)
        self.ui.tableView.resizeColumnsToContents()
        measured = hasFeatures(node.table)
        self.ui.resultGroup.setVisible(measured)
        self.ui.copyButton.setEnabled(measured)
        self.ui.saveButton.setEnabled(measured)

    def onTicksChanged(self):
        if self._parameterNode is not None:
            self._parameterNode.skippedSegments = sorted(self._segments.unticked(), key=str)
            self._parameterNode.skippedFamilies = sorted(self._families.unticked(), key=str)

    def whyNot(self):
        node = self._parameterNode
        if node.inputVolume is None:
            return _("Choose an image first.")
        if node.segmentation is None:
            return _("Choose a segmentation first; MedAI Segment or Segment Editor makes one.")
        if not segmentNames(node.segmentation):
            return _("The segmentation has no segments.")
        if not self._segments.ticked():
            return _("Tick at least one segment.")
        if self._families.unticked() and not self._families.ticked():
            return _("Tick at least one family of features.")
        return ""

    def startRun(self, callbacks):
        from MedAISegmentLib.dependencies import ensure

        ensure()
        node = self._parameterNode
        settings: dict[str, Any] = {"allow_error_flags": node.allowErrors}
        if self._segments.unticked():
            settings["segments"] = self._segments.ticked()
        if self._families.unticked():
            settings["families"] = {name: {} for name in self._families.ticked()}
        if node.outlierSigmas > 0:
            settings["limits"] = {"outlier_sigmas": node.outlierSigmas}
        return self.logic.start(
            node.inputVolume, node.segmentation, node.table, settings, resample=node.resample, **callbacks
        )

    def finishedText(self, info):
        self.parameters().table = slicer.mrmlScene.GetNodeByID(info["tableNodeId"])
        lines = [
            _("Finished in {seconds:.1f} s: {count} numbers of {segments} segments.").format(
                seconds=info["elapsedSeconds"], count=info["count"], segments=info["segments"]
            )
        ]
        lines += [_("Note: {text}").format(text=flag["message"]) for flag in info["flags"]]
        return "\n".join(lines)

    def onCopy(self):
        with self.errorsShownOnce():
            slicer.app.clipboard().setText(self.logic.textOf(self._parameterNode.table))
            self.ui.statusLabel.setText(_("The table is on the clipboard."))

    def onSave(self):
        table = self._parameterNode.table
        path = qt.QFileDialog.getSaveFileName(
            self.parent, _("Save features"), table.GetName() + ".csv", _("CSV file (*.csv)")
        )
        if path:
            with self.errorsShownOnce():
                self.logic.exportCsv(table, path)
                self.ui.statusLabel.setText(_("The table was saved."))


class MedAIFeaturesLogic(MedAILogic):
    """Measurement of segmentation nodes; ``process`` waits for the result, ``start`` does not."""

    def getParameterNode(self):
        return MedAIFeaturesParameterNode(super().getParameterNode())

    def families(self) -> list[tuple[str, str, str]]:
        """Return (name, title, why unavailable) of every family; none before the library's packages are installed."""
        try:
            from medai.features import FAMILIES
        except ImportError:
            return []
        return [(cls.name, cls.title, cls.unavailable_reason()) for cls in FAMILIES.classes()]

    def process(
        self,
        volumeNode: Any,
        segmentationNode: Any,
        tableNode: Any = None,
        settings: dict[str, Any] | None = None,
        *,
        resample: bool = False,
    ) -> dict[str, Any]:
        """Measure every segment and wait for the result.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
        segmentationNode : vtkMRMLSegmentationNode
        tableNode : vtkMRMLTableNode, optional
            Its content is replaced; a new node if not given.
        settings : dict, optional
            Of the library's ``ExtractSettings``; everything with its defaults if not given.
        resample : bool
            Take the segmentation's nearest voxel where it has another grid than the image.

        Returns
        -------
        dict
            ``tableNodeId``, ``count`` of numbers, ``segments``, ``flags``.
        """
        inputs, _guard = guarded(volumeNode, segmentationNode, resample)
        result = self.runHere(TASK, inputs, settings or {})
        return self._deliver(result, inputs, volumeNode, tableNode)

    def start(
        self,
        volumeNode: Any,
        segmentationNode: Any,
        tableNode: Any = None,
        settings: dict[str, Any] | None = None,
        *,
        resample: bool = False,
        **callbacks: Any,
    ) -> SceneRun:
        """Measure in the worker process and return at once; see :class:`MedAISegmentLib.runs.SceneRun`."""
        inputs, guard = guarded(volumeNode, segmentationNode, resample)
        guard.require(tableNode, _("table"))
        return self.startInWorker(
            [lambda _before: (TASK, inputs, settings or {})],
            guard,
            lambda result: self._deliver(result, inputs, volumeNode, tableNode),
            output=tableNode,
            **callbacks,
        )

    def exportCsv(self, tableNode: Any, path: str) -> None:
        """Write a measured table with full precision as CSV; see ``FeatureTable.to_csv``."""
        readFeatures(tableNode).to_csv(path)

    def textOf(self, tableNode: Any) -> str:
        """Return a measured table as text with tabs between cells, as spreadsheets paste it."""
        import csv
        import io
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory(prefix="medai-") as folder:
            path = Path(folder) / "features.csv"
            self.exportCsv(tableNode, str(path))
            text = path.read_text(encoding="utf-8")
        stream = io.StringIO()
        csv.writer(stream, dialect="excel-tab", lineterminator="\n").writerows(csv.reader(io.StringIO(text)))
        return stream.getvalue()

    def _deliver(
        self, result: dict[str, Any], inputs: dict[str, Any], volumeNode: Any, tableNode: Any
    ) -> dict[str, Any]:
        from medai.mrml import table_to_node

        features = result["features"]
        node = table_to_node(result["table"], slicer.mrmlScene, node=tableNode)
        if tableNode is None:
            node.SetName(slicer.mrmlScene.GenerateUniqueName(_("{image} features").format(image=volumeNode.GetName())))
        storeFeatures(node, features, digestsOf(inputs))
        return {
            "tableNodeId": node.GetID(),
            "count": sum(row["value"] is not None for row in features["rows"]),
            "segments": len({row["segment"] for row in features["rows"]}),
            "flags": features["flags"],
        }


def segmentNames(segmentationNode: Any) -> list[str]:
    """Return the names by which the library knows a segmentation's segments: repeated names get a number."""
    if segmentationNode is None:
        return []
    from medai.mrml import segment_ids

    return list(segment_ids(segmentationNode))


class MedAIFeaturesTest(ScriptedLoadableModuleTest):
    """Self test on a phantom made here; needs no data and no network."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_boxOfKnownVolume()
        self.setUp()
        self.test_foreignTableIsRefused()

    def test_boxOfKnownVolume(self):
        from medai.core.geometry import Geometry
        from medai.core.labelmap import LabelMap, Segment
        from medai.core.volume import Volume
        from medai.mrml import labels_to_segmentation, volume_to_node

        array = np.zeros((12, 20, 20), np.uint8)
        array[3:9, 5:15, 5:15] = 1
        grid = Geometry.from_spacing(array.shape, (1.0, 1.0, 2.0))
        noise = np.random.default_rng(1).normal(100, 10, array.shape).astype(np.float32)
        volumeNode = volume_to_node(Volume(noise, grid), slicer.mrmlScene, "Phantom")
        labels = LabelMap(array, grid, (Segment(1, "Box"),))
        segmentationNode = labels_to_segmentation(labels, slicer.mrmlScene, "Boxes", reference=volumeNode)
        logic = MedAIFeaturesLogic()
        info = logic.process(volumeNode, segmentationNode)
        features = readFeatures(slicer.mrmlScene.GetNodeByID(info["tableNodeId"]))
        assert features.value("Box", "voxel_volume") == 600 * 2.0
        assert abs(features.value("Box", "mean") - noise[array == 1].mean(dtype=np.float64)) < 1e-3
        logging.info("MedAIFeatures: the phantom's volume and mean are right")

    def test_foreignTableIsRefused(self):
        from medai.core.errors import SceneError

        with self.assertRaises(SceneError):  # noqa: PT027 - Slicer runs this without pytest
            MedAIFeaturesLogic().textOf(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode"))
