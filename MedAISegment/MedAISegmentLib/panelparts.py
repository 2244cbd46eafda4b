"""Small questions that the panel of MedAI Segment asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from MedAISegmentLib.choices import Method, Region
from MedAISegmentLib.pipelines import Steps, problemOf, stepsOf


def fillChoices(box: Any, members: dict[str, Any], chosen: str) -> str:
    """Fill a combo box with members by id and return the id that it shows; nothing if there are none."""
    ids = list(members)
    shown = chosen if chosen in ids else (ids[0] if ids else "")
    box.blockSignals(True)
    box.clear()
    for name, member in members.items():
        box.addItem(member.title, name)
    box.setCurrentIndex(ids.index(shown) if shown else -1)
    box.blockSignals(False)
    return shown


def segmentNames(*nodes: Any) -> list[str]:
    """Return the names of the segments of segmentation nodes, each once."""
    found: dict[str, None] = {}
    for node in nodes:
        if node is not None:
            segmentation = node.GetSegmentation()
            count = segmentation.GetNumberOfSegments()
            found.update({segmentation.GetNthSegment(n).GetName(): None for n in range(count)})
    return list(found)


def needsAtlas(steps: Steps) -> bool:
    """Tell whether a list of steps looks for regions by the brain template, which is a package of its own."""
    return any(
        step["step"] == "atlas_brain"
        or (step["step"] == "unet" and step.get("settings", {}).get("regions", "atlas") == "atlas")
        for step in steps
        if step.get("enabled", True)
    )


def methodInfo(node: Any, models: Any, recipes: dict[str, Any]) -> str:
    """Return what the chosen method does, for people.

    Parameters
    ----------
    node : MedAISegmentParameterNode
    models : ModelPart
    recipes : dict
        By id.
    """
    image = node.inputVolume.GetImageData() if node.inputVolume is not None else None
    if node.method is Method.UNET and not models.known:
        return _("The models are listed when the first run has installed its packages.")
    if node.method is Method.UNET:
        model = models.entry(node.modelId)
        return model.info.manifest.description.summary if model is not None else ""
    if node.method is Method.RECIPE:
        return recipes[node.recipeId].description if node.recipeId in recipes else ""
    if node.method is Method.STEPS:
        return ""
    if node.method is Method.MANUAL and image is not None:
        low, high = image.GetScalarRange()
        return _("The image's values go from {low:g} to {high:g}.").format(low=low, high=high)
    return _("Splits the image's values into two groups; the brighter one is the segment.")


def whyNot(node: Any, models: Any, recipes: dict[str, Any], steps: Callable[[], Steps]) -> str:
    """Return why a run cannot start now, or nothing; parameters as :func:`methodInfo`, and the steps that would run."""
    if node.inputVolume is None:
        return _("Choose an image first.")
    if node.method is Method.UNET and models.known and not models.usable():
        return _("No model is installed; add one, or choose a threshold.")
    if node.method is Method.UNET and node.region is Region.BOX and node.roi is None:
        return _("Choose or create the box first.")
    if node.method is Method.MANUAL and node.lower > node.upper:
        return _("'From' must not be greater than 'To'.")
    if node.method is Method.RECIPE and not recipes:
        return _("No recipe is here; choose another method.")
    if node.method is Method.STEPS and node.pipeline and not stepsOf(node.pipeline):
        return _("The scene's list of steps cannot be read; add a step to begin a new one.")
    if node.method in (Method.RECIPE, Method.STEPS):
        return problemOf(steps(), node.startSegmentation is not None)
    return ""
