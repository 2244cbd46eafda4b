"""MedAI Segment: from an image to named, coloured, coded segments."""

import logging
import math
from typing import Annotated, Any

import numpy as np
import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from MedAISegmentLib.choices import Denoise, Device, Method, Region, Side
from MedAISegmentLib.logic import MedAILogic, firstNode, readVolume, requireNode
from MedAISegmentLib.panel import MedAIPanel
from MedAISegmentLib.runs import InputGuard, SceneRun

TASK = "medai.segment.tasks:segment"
NO_LIMIT = 1e9
DEFAULT_SETTINGS = {"pipeline": [{"step": "threshold", "settings": {"method": "otsu"}}]}


class MedAISegment(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("MedAI Segment")
        parent.categories = ["MedAI"]
        parent.dependencies = ["Segmentations", "Markups"]
        parent.contributors = ["The MedAIExtension developers"]
        parent.helpText = _(
            "Cleans an image and segments it, by a trained U-Net or by thresholds. The work runs in its own process and"
            " can be cancelled. Research use only - not for diagnosis."
        )
        parent.acknowledgementText = _(
            "Each model's card, beside its weights, names the data that it was trained on and their licence."
        )


@parameterNodeWrapper
class MedAISegmentParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    denoise: Denoise = Denoise.NONE
    sigma: Annotated[float, WithinRange(0.1, 10.0)] = 1.0
    radius: Annotated[int, WithinRange(1, 5)] = 1
    method: Method = Method.UNET
    modelId: str = ""
    region: Region = Region.ATLAS
    roi: vtkMRMLMarkupsROINode
    side: Side = Side.LEFT
    lower: Annotated[float, WithinRange(-NO_LIMIT, NO_LIMIT)] = 0.0
    upper: Annotated[float, WithinRange(-NO_LIMIT, NO_LIMIT)] = NO_LIMIT
    segmentation: vtkMRMLSegmentationNode
    showSurface: bool = False
    device: Device = Device.AUTO
    largestComponent: bool = True


class MedAISegmentWidget(MedAIPanel):
    applyText = _("Segment")

    def makeLogic(self):
        return MedAISegmentLogic()

    def setupPanel(self):
        self._models = {}
        self._modelsKnown = False
        self.ui.modelField.currentIndexChanged.connect(self.onModelChosen)

    def fillDefaults(self):
        if self._parameterNode.inputVolume is None:
            self._parameterNode.inputVolume = firstNode("vtkMRMLScalarVolumeNode")
        self.fillModels()

    def fillModels(self):
        """List the models; without the library's packages the list stays empty until they are installed."""
        found = self.logic.models()
        self._modelsKnown = found is not None
        models = found or []
        chosen = self._parameterNode.modelId
        self.ui.modelField.blockSignals(True)
        self.ui.modelField.clear()
        for model in models:
            self.ui.modelField.addItem(model.title, model.id)
        ids = [model.id for model in models]
        index = ids.index(chosen) if chosen in ids else 0
        self.ui.modelField.setCurrentIndex(index if ids else -1)
        self.ui.modelField.blockSignals(False)
        self._models = {model.id: model for model in models}
        if ids and chosen not in ids:
            self._parameterNode.modelId = ids[index]

    def onModelChosen(self):
        index = self.ui.modelField.property("currentIndex")
        if self._parameterNode is not None and index >= 0:
            self._parameterNode.modelId = self.ui.modelField.itemData(index)

    def updatePanel(self):
        node = self._parameterNode
        image = node.inputVolume.GetImageData() if node.inputVolume is not None else None
        low, high = image.GetScalarRange() if image is not None else (0.0, NO_LIMIT)
        if node.method is Method.MANUAL and node.upper == NO_LIMIT and -NO_LIMIT < low <= high < NO_LIMIT - 1:
            # Limits to start from, rounded up to what the field shows so that the brightest voxel is inside.  Setting
            # them calls this method again.
            node.lower, node.upper = (low + high) / 2, math.ceil(high * 100) / 100
            return
        network, box = node.method is Method.UNET, node.region is Region.BOX
        self.showRow("sigma", node.denoise is Denoise.GAUSSIAN)
        self.showRow("radius", node.denoise is Denoise.MEDIAN)
        self.showRow("model", network)
        self.showRow("region", network)
        self.showRow("roi", network and box)
        self.showRow("side", network and box)
        self.showRow("lower", node.method is Method.MANUAL)
        self.showRow("upper", node.method is Method.MANUAL)
        self.ui.advancedGroup.setVisible(network)
        info = self.methodInfo()
        self.ui.methodInfoLabel.setText(info)
        self.ui.methodInfoLabel.setVisible(bool(info))

    def methodInfo(self):
        node = self._parameterNode
        image = node.inputVolume.GetImageData() if node.inputVolume is not None else None
        if node.method is Method.UNET and node.modelId in self._models:
            return self._models[node.modelId].manifest.description.summary
        if node.method is Method.UNET:
            return (
                "" if self._modelsKnown else _("The models are listed when the first run has installed its packages.")
            )
        if node.method is Method.MANUAL and image is not None:
            low, high = image.GetScalarRange()
            return _("The image's values go from {low:g} to {high:g}.").format(low=low, high=high)
        return _("Splits the image's values into two groups; the brighter one is the segment.")

    def whyNot(self):
        node = self._parameterNode
        if node.inputVolume is None:
            return _("Choose an image first.")
        if node.method is Method.UNET and self._modelsKnown and not self._models:
            return _("No model is installed; choose a threshold, or install the extension again.")
        if node.method is Method.UNET and node.region is Region.BOX and node.roi is None:
            return _("Choose or create the box first.")
        if node.method is Method.MANUAL and node.lower > node.upper:
            return _("'From' must not be greater than 'To'.")
        return ""

    def startRun(self, callbacks):
        from MedAISegmentLib.dependencies import ensure

        node = self._parameterNode
        network = node.method is Method.UNET
        ensure(deep=network, atlas=network and node.region is Region.ATLAS)
        self.fillModels()
        settings = self.logic.settingsOf(node)
        return self.logic.start(
            node.inputVolume, node.segmentation, settings, showSurface=node.showSurface, **callbacks
        )

    def finishedText(self, info):
        self.parameters().segmentation = slicer.mrmlScene.GetNodeByID(info["segmentationNodeId"])
        lines = [_("Finished in {seconds:.1f} s.").format(seconds=info["elapsedSeconds"])]
        lines += [_("{name}: {ml:.2f} mL").format(name=name, ml=ml) for name, ml in info["volumesMl"].items()]
        lines += [_("Note: {text}").format(text=flag["message"]) for flag in info["flags"]]
        return "\n".join(lines)


class MedAISegmentLogic(MedAILogic):
    """Segmentation of volume nodes; ``process`` waits for the result, ``start`` does not."""

    def getParameterNode(self):
        return MedAISegmentParameterNode(super().getParameterNode())

    def models(self) -> list[Any] | None:
        """Return the models that are here; None if the packages that read them are not installed yet."""
        try:
            from medai.segment.models import ModelStore
        except ImportError:
            return None
        return ModelStore().list()

    def settingsOf(self, node: MedAISegmentParameterNode) -> dict[str, Any]:
        """Return a parameter node's content as the settings of the library's task."""
        from medai.core.errors import ModelError

        steps = []
        if node.denoise is Denoise.GAUSSIAN:
            steps.append({"step": "gaussian", "settings": {"sigma_mm": node.sigma}})
        elif node.denoise is Denoise.MEDIAN:
            steps.append({"step": "median", "settings": {"radius": node.radius}})
        if node.method is Method.OTSU:
            steps.append({"step": "threshold", "settings": {"method": "otsu"}})
        elif node.method is Method.MANUAL:
            limits = {"lower": node.lower, "upper": node.upper}
            steps.append({"step": "threshold", "settings": {"method": "manual", **limits}})
        else:
            if not node.modelId:
                raise ModelError(_("There is no model to segment with."), hint=_("Install the extension again."))
            regions = self.boxOf(node.roi, node.side.value) if node.region is Region.BOX else node.region.value
            network = {"device": node.device.value, "largest_component": node.largestComponent}
            steps.append({"step": "unet", "settings": {"model": node.modelId, "regions": regions, **network}})
        return {"pipeline": steps}

    def boxOf(self, roiNode: Any, side: str) -> list[dict[str, Any]]:
        """Return a Markups ROI's bounding box (RAS, mm) as a list of one region."""
        requireNode(roiNode, _("box"))
        bounds = [0.0] * 6
        roiNode.GetRASBounds(bounds)
        pairs = list(zip(bounds[::2], bounds[1::2], strict=True))
        centre = [(low + high) / 2 for low, high in pairs]
        return [{"side": side, "centre_ras": centre, "size_mm": [high - low for low, high in pairs]}]

    def process(
        self, volumeNode: Any, segmentationNode: Any = None, settings: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Segment a volume and wait for the result.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
        segmentationNode : vtkMRMLSegmentationNode, optional
            Its content is replaced; a new node if not given.
        settings : dict, optional
            ``{"pipeline": [{"step": ..., "settings": {...}}, ...]}``; Otsu's threshold if not given.

        Returns
        -------
        dict
            ``segmentationNodeId``, ``volumesMl`` by segment name, ``flags`` and what the library tells of the run.
        """
        self._refuseOutput(segmentationNode)
        volume = readVolume(volumeNode)
        result = self.runHere(TASK, {"volume": volume}, settings or DEFAULT_SETTINGS)
        return self._deliver(result, volumeNode, segmentationNode, False)

    def start(
        self,
        volumeNode: Any,
        segmentationNode: Any = None,
        settings: dict[str, Any] | None = None,
        *,
        showSurface: bool = False,
        **callbacks: Any,
    ) -> SceneRun:
        """Segment a volume in the worker process and return at once; see :class:`MedAISegmentLib.runs.SceneRun`."""
        self._refuseOutput(segmentationNode)
        volume = readVolume(volumeNode)
        guard = InputGuard(slicer.mrmlScene)
        guard.requireSame(volumeNode, _("image"), volume, lambda: readVolume(volumeNode))
        guard.require(segmentationNode, _("segmentation"))
        return self.startInWorker(
            [lambda _before: (TASK, {"volume": volume}, settings or DEFAULT_SETTINGS)],
            guard,
            lambda result: self._deliver(result, volumeNode, segmentationNode, showSurface),
            output=segmentationNode,
            **callbacks,
        )

    def _refuseOutput(self, segmentationNode: Any) -> None:
        """Find out before the work, not after it, that the result has no place to go."""
        from medai.core.errors import SceneError

        if segmentationNode is None:
            return
        requireNode(segmentationNode, _("segmentation"))
        if segmentationNode.GetParentTransformNode() is not None:
            raise SceneError(
                _("The output segmentation is under a transform."),
                hint=_("Remove the transform, or choose another one."),
            )

    def _deliver(
        self, result: dict[str, Any], volumeNode: Any, segmentationNode: Any, showSurface: bool
    ) -> dict[str, Any]:
        from medai.mrml import labels_to_segmentation

        labels = result["labels"]
        name = None
        if segmentationNode is None:
            name = slicer.mrmlScene.GenerateUniqueName(_("{image} segmentation").format(image=volumeNode.GetName()))
        node = labels_to_segmentation(
            labels, slicer.mrmlScene, name, reference=volumeNode, node=segmentationNode, provenance=result["info"]
        )
        if showSurface:
            node.CreateClosedSurfaceRepresentation()
        return {
            **result["info"],
            "segmentationNodeId": node.GetID(),
            "volumesMl": labels.volumes_ml(),
            "flags": [flag.to_dict() for flag in labels.flags],
        }


class MedAISegmentTest(ScriptedLoadableModuleTest):
    """Self test on a phantom made here; needs no data and no network."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_sphereVolume()
        self.setUp()
        self.test_badInputLeavesNothing()

    def makePhantom(self, radius=12.0):
        """Return a volume node with a bright sphere (mm) in noise, 1 x 1 x 2 mm voxels."""
        k, j, i = np.ogrid[:24, :48, :48]
        inside = (i - 24) ** 2 + (j - 24) ** 2 + (2.0 * (k - 12)) ** 2 <= radius**2
        array = np.where(inside, 200.0, 50.0) + np.random.default_rng(1).normal(0, 5, inside.shape)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
        slicer.util.updateVolumeFromArray(node, array.astype(np.float32))
        node.SetSpacing(1, 1, 2)
        return node

    def test_sphereVolume(self):
        info = MedAISegmentLogic().process(self.makePhantom())
        expected = 4 / 3 * np.pi * 12.0**3 / 1000
        assert abs(sum(info["volumesMl"].values()) - expected) < 0.05 * expected
        assert slicer.mrmlScene.GetNodeByID(info["segmentationNodeId"]) is not None
        logging.info("MedAISegment: the phantom's volume is right")

    def test_badInputLeavesNothing(self):
        from medai.core.errors import MedAIError

        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
        with self.assertRaises(MedAIError):  # noqa: PT027 - Slicer runs this without pytest
            MedAISegmentLogic().process(empty)
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
