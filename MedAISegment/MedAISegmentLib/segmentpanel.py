"""The panel of MedAI Segment: it shows what the parameters ask for and starts runs; the work is done elsewhere."""

from __future__ import annotations

import math
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedAISegmentLib.choices import Denoise, Method, Region, Uncertainty
from MedAISegmentLib.logic import firstNode
from MedAISegmentLib.modelentries import ModelEntry
from MedAISegmentLib.modelpart import ModelPart
from MedAISegmentLib.panel import MedAIPanel
from MedAISegmentLib.panelparts import fillChoices, methodInfo, needsAtlas, segmentNames, whyNot
from MedAISegmentLib.pipelines import (
    Steps,
    givesSegments,
    loadSteps,
    plainSteps,
    recipes,
    saveSteps,
    stepsOf,
    textOf,
    wants,
)
from MedAISegmentLib.preview import PreviewPane
from MedAISegmentLib.previewsource import PreviewRequest
from MedAISegmentLib.runfacts import runLines
from MedAISegmentLib.runs import SceneRun
from MedAISegmentLib.stepseditor import StepsEditor

NO_LIMIT = 1e9
SCALAR, COLOUR = "vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"


class SegmentPanel(MedAIPanel):
    """Method, steps, preview, output and undo; a subclass makes the logic."""

    applyText = _("Segment")
    groups = (*MedAIPanel.groups, "stepsGroup", "previewGroup")

    def setupPanel(self) -> None:
        self._recipes = {}
        self.models = ModelPart(self.ui, self.runTasks, self.onModelChosen, self.errorsShownOnce)
        self.ui.modelCardButton.connect("toggled(bool)", lambda _shown: self._onParameterChanged())
        self.editor = StepsEditor(self.ui, self.onStepsChanged, self.onStepSelected)
        self.preview = PreviewPane(self.ui, self.logic.submitAside, self.previewRequest)
        self.ui.inputVolumeField.connect("currentNodeChanged(vtkMRMLNode*)", self.onInputChosen)
        self.ui.recipeField.connect("currentIndexChanged(int)", self.onRecipeChosen)
        self.ui.editRecipeButton.connect("clicked()", self.onEditRecipe)
        self.ui.loadPipelineButton.connect("clicked()", self.onLoadPipeline)
        self.ui.savePipelineButton.connect("clicked()", self.onSavePipeline)
        self.ui.undoButton.connect("clicked()", self.onUndo)

    def exit(self) -> None:
        self.preview.close()
        super().exit()

    def cleanup(self) -> None:
        self.preview.close()
        super().cleanup()

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        self.preview.close()
        super().onSceneStartClose(caller, event)

    def fillDefaults(self) -> None:
        if self._parameterNode.inputVolume is None:
            self._parameterNode.inputVolume = firstNode(SCALAR) or firstNode(COLOUR)
        self.fillModels()
        self.fillRecipes()

    def fillModels(self) -> None:
        """List the models; without the library's packages the list stays empty until they are installed."""
        chosen = self.models.fill(self._parameterNode.modelId)
        if chosen and chosen != self._parameterNode.modelId:
            self._parameterNode.modelId = chosen

    def fillRecipes(self) -> None:
        """List the recipes that come with the library."""
        self._recipes = {recipe.id: recipe for recipe in recipes()}
        chosen = fillChoices(self.ui.recipeField, self._recipes, self._parameterNode.recipeId)
        if chosen and chosen != self._parameterNode.recipeId:
            self._parameterNode.recipeId = chosen

    def onInputChosen(self, node: Any) -> None:
        # Slicer's connection of parameters to widgets would offer scalar volumes only.
        if self._parameterNode is not None and node is not self._parameterNode.inputVolume:
            self._parameterNode.inputVolume = node

    def onModelChosen(self, entry: ModelEntry) -> None:
        node = self.parameters()
        if node.modelId != entry.id:
            node.modelId = entry.id
            node.region = Region.ATLAS if entry.hasAtlas else Region.IMAGE

    def onRecipeChosen(self, index: int) -> None:
        if self._parameterNode is not None and index >= 0:
            self._parameterNode.recipeId = self.ui.recipeField.itemData(index)

    def onEditRecipe(self) -> None:
        """Copy the recipe's steps into the list of own steps."""
        self._parameterNode.pipeline = textOf(self.steps())
        self._parameterNode.method = Method.STEPS

    def onStepsChanged(self, steps: Steps) -> None:
        if self._parameterNode is not None:
            self._parameterNode.pipeline = textOf(steps)

    def onStepSelected(self) -> None:
        self.preview.ask()

    def onLoadPipeline(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Load steps"), "", _("Pipelines (*.json);;All files (*)")
        )
        if path:
            with self.errorsShownOnce():
                self._parameterNode.pipeline = textOf(loadSteps(path))
                self.ui.statusLabel.setText(_("The steps were loaded."))

    def onSavePipeline(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save steps"), "pipeline.json", _("Pipelines (*.json)")
        )
        if path:
            with self.errorsShownOnce():
                saveSteps(path, self.editor.steps())
                self.ui.statusLabel.setText(_("The steps were saved."))

    def onUndo(self) -> None:
        with self.errorsShownOnce():
            self.ui.statusLabel.setText(self.logic.undo.undo())
        self._onParameterChanged()

    def steps(self) -> Steps:
        """Return the steps that Apply would run; none while something is missing."""
        node = self._parameterNode
        if node.method is Method.STEPS:
            return stepsOf(node.pipeline)
        if node.method is Method.RECIPE:
            return plainSteps(self._recipes[node.recipeId].pipeline) if node.recipeId in self._recipes else []
        if node.method is Method.UNET:
            return []
        return self.logic.settingsOf(node)["pipeline"]

    def updatePanel(self) -> None:
        node = self._parameterNode
        if self.ui.inputVolumeField.currentNode() is not node.inputVolume:
            self.ui.inputVolumeField.setCurrentNode(node.inputVolume)
        image = node.inputVolume.GetImageData() if node.inputVolume is not None else None
        low, high = image.GetScalarRange() if image is not None else (0.0, NO_LIMIT)
        if node.method is Method.MANUAL and node.upper == NO_LIMIT and -NO_LIMIT < low <= high < NO_LIMIT - 1:
            # Limits to start from, rounded up to what the field shows so that the brightest voxel is inside.  Setting
            # them calls this method again.
            node.lower, node.upper = (low + high) / 2, math.ceil(high * 100) / 100
            return
        model = self.models.entry(node.modelId)
        if model is not None and not model.hasAtlas and node.region is Region.ATLAS:
            node.region = Region.IMAGE  # calls this method again
            return
        network, box = node.method is Method.UNET, node.region is Region.BOX
        recipe, own = node.method is Method.RECIPE, node.method is Method.STEPS
        listed = recipe or own
        steps = self.steps()
        segments = not listed or not steps or self.givesSegments(steps)
        self.showRow("recipe", recipe)
        self.showRow("denoise", not listed)
        self.showRow("sigma", not listed and node.denoise is Denoise.GAUSSIAN)
        self.showRow("radius", not listed and node.denoise is Denoise.MEDIAN)
        self.showRow("model", network)
        self.showRow("region", network)
        self.ui.regionField.model().item(0).setEnabled(model is None or model.hasAtlas)
        self.showRow("samples", node.uncertainty is Uncertainty.DROPOUT)
        self.ui.modelButtons.setVisible(network)
        self.models.show(node.modelId)
        self.showRow("roi", (network and box) or (listed and wants(steps, "centre_ras", "size_mm")))
        self.showRow("side", network and box and (model is None or model.hasSides))
        self.showRow("lower", node.method is Method.MANUAL)
        self.showRow("upper", node.method is Method.MANUAL)
        self.showRow("seeds", listed and wants(steps, "seeds"))
        self.showRow("reference", listed and wants(steps, "grid"))
        self.showRow("startSegmentation", listed)
        self.showRow("segmentation", segments)
        self.showRow("outputVolume", not segments)
        self.ui.showSurfaceField.setVisible(segments)
        self.ui.editRecipeButton.setVisible(recipe)
        self.ui.stepsGroup.setVisible(own)
        self.ui.previewGroup.setVisible(not network)
        self.ui.advancedGroup.setVisible(network)
        if own:
            self.editor.show(steps, segmentNames(node.startSegmentation, node.segmentation))
        self.applyText = _("Segment") if segments else _("Filter the image")
        if self._run is None:
            self.ui.applyButton.setText(self.applyText)
        reason = self.logic.undo.whyNot()
        self.ui.undoButton.setEnabled(not reason and self._run is None)
        self.ui.undoButton.setToolTip(reason or _("Take the last result back; what was there before returns."))
        info = methodInfo(node, self.models, self._recipes)
        self.ui.methodInfoLabel.setText(info)
        card = network and bool(self.ui.modelCardButton.property("checked"))
        self.ui.modelCard.setVisible(card)
        self.ui.methodInfoLabel.setVisible(bool(info) and not card)  # the card begins with the same words
        self.preview.ask()

    def givesSegments(self, steps: Steps) -> bool:
        from medai.core.errors import MedAIError

        try:
            return givesSegments(steps)
        except (ImportError, MedAIError):  # a step that is not available: whyNot() says so
            return True

    def previewRequest(self) -> PreviewRequest | str:
        """Return what the preview is to show, or why there is nothing to show."""
        node = self._parameterNode
        if node is None or node.inputVolume is None:
            return _("Choose an image first.")
        if self._run is not None:
            return _("No preview while a run is going on.")
        steps = self.editor.stepsToSelected() if node.method is Method.STEPS else self.steps()
        if not steps:
            return _("Add a step first.")
        return PreviewRequest(node.inputVolume, steps, node.previewView.value, **self.sources())

    def sources(self) -> dict[str, Any]:
        """Return the nodes that the steps take something from, besides the image."""
        node, steps = self._parameterNode, self.steps()
        if node.method not in (Method.RECIPE, Method.STEPS):
            return {}
        return {
            "startNode": node.startSegmentation,
            "seedsNode": node.seeds if wants(steps, "seeds") else None,
            "roiNode": node.roi if wants(steps, "centre_ras", "size_mm") else None,
            "referenceNode": node.reference if wants(steps, "grid") else None,
        }

    def whyNot(self) -> str:
        return whyNot(self._parameterNode, self.models, self._recipes, self.steps)

    def startRun(self, callbacks: dict[str, Any]) -> SceneRun:
        from MedAISegmentLib.dependencies import ensure, ensureExtras

        node = self._parameterNode
        steps = [step["step"] for step in self.steps()]
        network = node.method is Method.UNET or "unet" in steps
        atlas = (node.method is Method.UNET and node.region is Region.ATLAS) or needsAtlas(self.steps())
        ensure(deep=network, atlas=atlas)
        self.fillModels()
        self.fillRecipes()
        model = self.models.entry(node.modelId) if node.method is Method.UNET else None
        if model is not None and model.needs:
            ensureExtras(model.needs)
            self.fillModels()
        self.preview.stop()
        return self.logic.start(
            node.inputVolume,
            node.segmentation,
            self.logic.settingsOf(node),
            **self.sources(),
            outputVolumeNode=node.outputVolume,
            showSurface=node.showSurface,
            **callbacks,
        )

    def _showBusy(self) -> None:
        super()._showBusy()
        self.ui.undoButton.setEnabled(False)

    def finishedText(self, info: dict[str, Any]) -> str:
        if "text" in info:
            return str(info["text"])
        lines = [_("Finished in {seconds:.1f} s.").format(seconds=info["elapsedSeconds"])]
        if "volumeNodeId" in info:
            made = slicer.mrmlScene.GetNodeByID(info["volumeNodeId"])
            if made.GetClassName() == SCALAR:
                self.parameters().outputVolume = made
            lines.append(_("The filtered image is {name}.").format(name=made.GetName()))
        else:
            self.parameters().segmentation = slicer.mrmlScene.GetNodeByID(info["segmentationNodeId"])
            lines += runLines(info)
            lines += [_("{name}: {ml:.2f} mL").format(name=name, ml=ml) for name, ml in info["volumesMl"].items()]
            if info.get("maps"):
                lines.append(_("Maps: {names}.").format(names=", ".join(info["maps"])))
        lines += [_("Note: {text}").format(text=flag["message"]) for flag in info["flags"]]
        return "\n".join(lines)
