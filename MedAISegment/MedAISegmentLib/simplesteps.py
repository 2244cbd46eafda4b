"""The panel's simple choices as steps: one way of cleaning, and one way of segmenting."""

from __future__ import annotations

from typing import Any

from MedAISegmentLib.choices import Backend, Denoise, Method, Mirror, Precision, Uncertainty
from MedAISegmentLib.pipelines import Steps


def simpleSteps(node: Any, boxes: list[dict[str, Any]] | None = None) -> Steps:
    """Return the steps that a parameter node's simple choices stand for.

    Parameters
    ----------
    node : MedAISegmentParameterNode
        With the method U-Net, Otsu or manual.
    boxes : list of dict, optional
        Where the U-Net looks, instead of the region that the node names.
    """
    steps: Steps = []
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
        regions = node.region.value if boxes is None else boxes
        steps.append({"step": "unet", "settings": {"model": node.modelId, "regions": regions, **networkOptions(node)}})
    return steps


def networkOptions(node: Any) -> dict[str, Any]:
    """Return how a network runs, as settings of the step ``unet``; what is automatic is left out."""
    options: dict[str, Any] = {"device": node.device.value, "largest_component": node.largestComponent}
    if node.backend is not Backend.AUTO:
        options["backend"] = node.backend.value
    if node.precision is not Precision.AUTO:
        options["precision"] = node.precision.value
    if node.mirror is not Mirror.AUTO:
        options["mirror"] = node.mirror is Mirror.ON
    if node.uncertainty is not Uncertainty.NONE:
        options["uncertainty"] = node.uncertainty.value
    if node.uncertainty is Uncertainty.DROPOUT:
        options["samples"] = node.samples
    return options
