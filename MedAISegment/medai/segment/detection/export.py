"""Writing a trained detector as a folder: weights, manifest, recipe, facts and card, published by one rename."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medai.core.new_folder import new_folder

from ..manifest import FileEntry
from ..training.export import write_pretty, write_weights
from .card import detector_card
from .manifest import MANIFEST, DetectorManifest
from .model import DetectorModel, read_detector
from .recipe import DetectorRecipe
from .training import TrainedNetwork

WEIGHTS = "weights.safetensors"
MASK_WEIGHTS = "mask_weights.safetensors"
Measure = Callable[[DetectorModel], dict[str, Any]]


def write_detector(
    recipe: DetectorRecipe,
    boxes: TrainedNetwork,
    masks: TrainedNetwork | None,
    folder: str | Path,
    *,
    history: dict[str, Any],
    measure: Measure,
) -> Path:
    """Write a complete folder; nothing is left behind if it fails.

    Parameters
    ----------
    history : dict
        JSON-ready facts about the training: sources, losses, software, minutes.
    measure : callable
        Called with the staged detector; returns the metrics that manifest and card then show, so that every number is
        measured with the weights as they are stored (half precision).

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written.
    """
    with new_folder(folder) as place:
        weights = write_weights(boxes.network, place / WEIGHTS)
        mask_weights = write_weights(masks.network, place / MASK_WEIGHTS) if masks is not None else None
        manifest = manifest_of(recipe, weights, mask_weights)
        write_pretty(place / MANIFEST, manifest.to_dict())
        write_pretty(place / "recipe.json", recipe.to_dict())
        write_pretty(place / "training.json", history)
        manifest = manifest.model_copy(update={"metrics": measure(read_detector(place))})
        write_pretty(place / MANIFEST, manifest.to_dict())
        (place / "MODEL_CARD.md").write_text(detector_card(manifest, recipe, history), "utf-8")
    return Path(folder)


def manifest_of(
    recipe: DetectorRecipe, weights: FileEntry, mask_weights: FileEntry | None, metrics: dict[str, Any] | None = None
) -> DetectorManifest:
    """Return the manifest of a recipe's networks."""
    values = {
        "id": recipe.id,
        "description": recipe.description.to_dict(),
        "network": recipe.network.to_dict(),
        "anchors": recipe.anchors.to_dict(),
        "prepare": recipe.prepare.to_dict(),
        "window": list(recipe.window),
        "select": recipe.select.to_dict(),
        "labels": [entry.to_dict() for entry in recipe.labels],
        "mask": recipe.mask.to_dict() if recipe.mask is not None and mask_weights is not None else None,
        "weights": weights.to_dict(),
        "mask_weights": mask_weights.to_dict() if mask_weights is not None else None,
        "metrics": metrics or {},
    }
    return DetectorManifest.parse(values, where="manifest")
