"""Writing a trained network as a model folder: weights, manifest, recipe, split and card, published by one rename."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medai.core.new_folder import new_folder

from ..manifest import FileEntry, Manifest, NetworkEntry
from .card import model_card
from .loop import network_of
from .recipe import Recipe

if TYPE_CHECKING:
    import torch

WEIGHTS = "weights.safetensors"
EQUAL = 0.995
"""Half precision is stored if its labels agree with single precision's at least so well (Dice, every label)."""
Images = Sequence[npt.NDArray[np.float32]]


def write_weights(network: torch.nn.Module, path: Path, *, half: bool = True) -> FileEntry:
    """Write the network's weights as safetensors, without the heads that only training uses.

    Half precision stores 11 significant bits; the weights are widened again when they are loaded, and every number
    in the card is measured with the stored weights.
    """
    import torch
    from safetensors.torch import save

    kind = torch.float16 if half else torch.float32
    state = {
        name: (value.detach().to(kind) if value.dtype.is_floating_point else value.detach()).contiguous()
        for name, value in network.state_dict().items()
        if not is_training_head(network, name)
    }
    data = save(state)
    path.write_bytes(data)
    return FileEntry(path=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def is_training_head(network: torch.nn.Module, name: str) -> bool:
    """Tell whether only deep supervision, or MONAI's second name for a layer, needs a weight."""
    return type(network).__name__ == "DynUNet" and name.startswith(("deep_supervision_heads.", "skip_layers."))


def compare_half(network: torch.nn.Module, images: Images) -> dict[str, Any]:
    """Compare the labels that a network gives with its weights rounded to half precision and with its own.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU, float32; unchanged afterwards.
    images : sequence of array, shape (C, K, J, I)

    Returns
    -------
    dict
        ``images``, ``voxels`` and ``changed_voxels`` of all, and ``least_dice``: the smallest agreement of a label over
        all images together (1 if no label was found by either).
    """
    import torch

    exact = {name: value.clone() for name, value in network.state_dict().items()}
    rounded = {n: v.half().float() if v.dtype.is_floating_point else v for n, v in exact.items()}
    shared, sizes, changed, voxels = 0, 0, 0, 0
    try:
        for image in images:
            batch = torch.from_numpy(np.ascontiguousarray(image))[None]
            found = []
            for weights in (exact, rounded):
                network.load_state_dict(weights)
                with torch.inference_mode():
                    scores = network(batch)[0]
                    found.append(scores.argmax(0))
            count = len(scores)
            first, second = (torch.bincount(labels.reshape(-1), minlength=count).numpy() for labels in found)
            both = torch.bincount(found[0][found[0] == found[1]].reshape(-1), minlength=count).numpy()
            shared, sizes = shared + 2 * both, sizes + first + second
            changed, voxels = changed + int((found[0] != found[1]).sum()), voxels + found[0].numel()
    finally:
        network.load_state_dict(exact)
    dice = [float(s / n) for s, n in zip(np.atleast_1d(shared)[1:], np.atleast_1d(sizes)[1:], strict=True) if n]
    return {
        "images": len(images), "voxels": voxels, "changed_voxels": changed,
        "least_dice": round(min(dice, default=1.0), 6),
    }  # fmt: skip


def manifest_of(recipe: Recipe, weights: FileEntry, version: str) -> Manifest:
    """Return the manifest of a recipe's model, without metrics."""
    name, settings = network_of(recipe, training=False)
    if settings.get("deep_supervision"):
        settings = {**settings, "deep_supervision": False}
    return Manifest(
        id=recipe.id,
        version=version,
        description=recipe.description,
        network=NetworkEntry(name=name, settings=dict(sorted(settings.items()))),
        prepare=recipe.prepare,
        window=recipe.patch,
        region=recipe.region,
        labels=recipe.labels,
        weights=(weights,),
    )


def write_model(
    network: torch.nn.Module,
    recipe: Recipe,
    folder: str | Path,
    *,
    split: dict[str, Any],
    history: dict[str, Any],
    measure: Callable[[Path], dict[str, Any]],
    version: str = "1.0.0",
    images: Images = (),
    card: Callable[[Manifest, dict[str, Any]], str] | None = None,
    staging: Path | None = None,
) -> Path:
    """Write a complete model folder; nothing is left behind if it fails.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU.
    folder : path
        The new folder; it must not exist, or be empty.
    split : dict
        ``{"training": [...], "held_back": [...], ...}``, case names.
    history : dict
        JSON-ready facts about the training: losses, software, minutes.  What half precision changed is added to it.
    measure : callable
        Called with the staged folder; returns the metrics that manifest and card then show.  It may write files there.
    version : str
        Of the model.
    images : sequence of array, shape (C, K, J, I)
        On which half and single precision are compared; without any, half precision is stored.
    card : callable, optional
        Writes the card's text from the complete manifest and history.
    staging : Path, optional
        Where the folder is put together, on the same disk; what a kill left there is removed first.

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written.
    """
    with new_folder(folder, staging=staging) as place:
        facts = compare_half(network, images) if images else {}
        half = facts.get("least_dice", 1.0) >= EQUAL
        if facts:
            history = {**history, "half_precision": {**facts, "stored": half}}
        manifest = manifest_of(recipe, write_weights(network, place / WEIGHTS, half=half), version)
        for name, value in (
            ("manifest.json", manifest.to_dict()),
            ("recipe.json", recipe.to_dict()),
            ("split.json", split),
            ("training.json", history),
        ):
            write_pretty(place / name, value)
        manifest = manifest.model_copy(update={"metrics": measure(place)})
        write_pretty(place / "manifest.json", manifest.to_dict())
        text = card(manifest, history) if card else model_card(manifest, recipe, history, split)
        (place / "MODEL_CARD.md").write_text(text, "utf-8")
    return Path(folder)


def pretty(value: Any) -> str:
    """Return JSON for people to read: sorted keys, two spaces."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_pretty(path: Path, value: Any) -> None:
    """Write JSON for people to read."""
    path.write_text(pretty(value), "utf-8")
