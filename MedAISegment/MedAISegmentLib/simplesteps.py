"""The panel's simple choices as steps: one way of cleaning, and one way of segmenting."""

from __future__ import annotations

from typing import Any

from MedAISegmentLib.choices import Denoise, Method
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
        network = {"device": node.device.value, "largest_component": node.largestComponent}
        regions = node.region.value if boxes is None else boxes
        steps.append({"step": "unet", "settings": {"model": node.modelId, "regions": regions, **network}})
    return steps
