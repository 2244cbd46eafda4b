"""MedAI Segment: from an image to named, coloured, coded segments."""

import logging
from typing import Annotated, Any

import numpy as np
import slicer
from slicer import (
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from MedAISegmentLib.choices import (
    Backend,
    Denoise,
    Device,
    Method,
    Mirror,
    Precision,
    Region,
    Side,
    Uncertainty,
    View,
)
from MedAISegmentLib.modelentries import modelEntries
from MedAISegmentLib.pipelines import plainSteps, recipes, stepsOf
from MedAISegmentLib.seeds import readBox
from MedAISegmentLib.segmentlogic import SegmentLogic
from MedAISegmentLib.segmentpanel import NO_LIMIT, SCALAR, SegmentPanel
from MedAISegmentLib.simplesteps import simpleSteps


class MedAISegment(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("MedAI Segment")
        parent.categories = ["MedAI"]
        parent.dependencies = ["Segmentations", "Markups"]
        parent.contributors = ["The MedAIExtension developers"]
        parent.helpText = _(
            "Cleans an image and segments it, by a trained U-Net, by thresholds, by a recipe, or by your own list of"
            " steps. The work runs in its own process, can be cancelled, and can be undone."
            " Research use only - not for diagnosis."
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
    backend: Backend = Backend.AUTO
    precision: Precision = Precision.AUTO
    mirror: Mirror = Mirror.AUTO
    uncertainty: Uncertainty = Uncertainty.NONE
    samples: Annotated[int, WithinRange(2, 64)] = 8
    largestComponent: bool = True
    recipeId: str = ""
    pipeline: str = ""
    seeds: vtkMRMLMarkupsFiducialNode
    startSegmentation: vtkMRMLSegmentationNode
    reference: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    previewView: View = View.RED


class MedAISegmentWidget(SegmentPanel):
    def makeLogic(self):
        return MedAISegmentLogic()


class MedAISegmentLogic(SegmentLogic):
    """Segmentation of volume nodes; see :class:`MedAISegmentLib.segmentlogic.SegmentLogic`."""

    def getParameterNode(self):
        return MedAISegmentParameterNode(super().getParameterNode())

    def settingsOf(self, node: MedAISegmentParameterNode) -> dict[str, Any]:
        """Return a parameter node's content as the settings of the library's task.

        Points, box and start segmentation of a recipe or of own steps are put in by :meth:`start` and :meth:`process`.
        """
        from medai.core.errors import ModelError, SettingsError

        if node.method is Method.STEPS:
            return {"pipeline": stepsOf(node.pipeline)}
        if node.method is Method.RECIPE:
            found = [recipe for recipe in recipes() if recipe.id == node.recipeId]
            if not found:
                raise SettingsError(_("There is no recipe to segment with."), hint=_("Choose another method."))
            expects = {"modality": found[0].modality, "hounsfield": found[0].hounsfield}
            return {"pipeline": plainSteps(found[0].pipeline), "expects": expects}
        if node.method is Method.UNET and not node.modelId:
            raise ModelError(_("There is no model to segment with."), hint=_("Install the extension again."))
        boxed = node.method is Method.UNET and node.region is Region.BOX
        if not boxed:
            return {"pipeline": simpleSteps(node)}
        sides = any(entry.id == node.modelId and entry.hasSides for entry in modelEntries() or ())
        return {"pipeline": simpleSteps(node, self.boxOf(node.roi, node.side.value if sides else ""))}

    def boxOf(self, roiNode: Any, side: str) -> list[dict[str, Any]]:
        """Return a Markups ROI's bounding box (RAS, mm) as a list of one region."""
        return [{"side": side, **readBox(roiNode).values}]


class MedAISegmentTest(ScriptedLoadableModuleTest):
    """Self test on a phantom made here; needs no data and no network."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_sphereVolume()
        self.setUp()
        self.test_filterAndUndo()
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

    def test_filterAndUndo(self):
        logic, node = MedAISegmentLogic(), self.makePhantom()
        info = logic.process(node, settings={"pipeline": [{"step": "median"}]})
        made = slicer.mrmlScene.GetNodeByID(info["volumeNodeId"])
        assert slicer.util.arrayFromVolume(made).std() < slicer.util.arrayFromVolume(node).std()
        logic.undo.undo()
        assert slicer.mrmlScene.GetNumberOfNodesByClass(SCALAR) == 1
        logging.info("MedAISegment: filtering and undo work")

    def test_badInputLeavesNothing(self):
        from medai.core.errors import MedAIError

        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
        with self.assertRaises(MedAIError):  # noqa: PT027 - Slicer runs this without pytest
            MedAISegmentLogic().process(empty)
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
