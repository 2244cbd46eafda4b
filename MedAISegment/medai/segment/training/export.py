"""Writing a trained network as a model folder: weights, manifest, recipe, split and card, published by one rename."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.core.errors import OutputError

from ..manifest import FileEntry, Manifest, NetworkEntry
from .card import model_card
from .loop import network_settings
from .recipe import Recipe

if TYPE_CHECKING:
    import torch

WEIGHTS = "weights.safetensors"


def write_weights(network: torch.nn.Module, path: Path) -> FileEntry:
    """Write the network's weights as half-precision safetensors, without the heads that only training uses.

    Half precision stores 11 significant bits; the weights are widened again when they are loaded, and every number
    in the card is measured with the stored weights.
    """
    import torch
    from safetensors.torch import save

    state = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in network.state_dict().items()
        if not is_training_head(name)
    }
    data = save(state)
    path.write_bytes(data)
    return FileEntry(path=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def is_training_head(name: str) -> bool:
    """Tell whether only deep supervision, or MONAI's second name for a layer, needs a weight."""
    return name.startswith(("deep_supervision_heads.", "skip_layers."))


def write_model(
    network: torch.nn.Module,
    recipe: Recipe,
    folder: str | Path,
    *,
    split: dict[str, list[str]],
    history: dict[str, Any],
    measure: Callable[[Path], dict[str, Any]],
) -> Path:
    """Write a complete model folder; nothing is left behind if it fails.

    Parameters
    ----------
    folder : path
        The new folder; it must not exist, or be empty.
    split : dict
        ``{"training": [...], "held_back": [...]}``, case names.
    history : dict
        JSON-ready facts about the training: losses, software, minutes.
    measure : callable
        Called with the staged folder; returns the metrics that manifest and card then show.

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written.
    """
    target = require_new_folder(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".medai-model-", dir=target.parent))
    except OSError as error:
        raise OutputError(f"Cannot write {target.name!r}: {error.strerror}.") from error
    try:
        manifest = Manifest(
            id=recipe.id,
            version="1.0.0",
            description=recipe.description,
            network=NetworkEntry(name="unet3d", settings=network_settings(recipe, deep_supervision=False)),
            prepare=recipe.prepare,
            window=recipe.patch,
            region=recipe.region,
            labels=recipe.labels,
            weights=(write_weights(network, staging / WEIGHTS),),
        )
        for name, value in (
            ("manifest.json", manifest.to_dict()),
            ("recipe.json", recipe.to_dict()),
            ("split.json", split),
            ("training.json", history),
        ):
            write_pretty(staging / name, value)
        manifest = manifest.model_copy(update={"metrics": measure(staging)})
        write_pretty(staging / "manifest.json", manifest.to_dict())
        card = model_card(manifest, recipe, history, split)
        (staging / "MODEL_CARD.md").write_text(card, "utf-8")
        staging.chmod(0o755)
        if target.exists():
            target.rmdir()
        staging.rename(target)
    except OSError as error:
        raise OutputError(f"Cannot write {target.name!r}: {error.strerror}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def require_new_folder(folder: str | Path) -> Path:
    """Return the path if a model folder may be made there.

    Raises
    ------
    OutputError
        If it is a file, a folder that holds something, or at a place where nothing may be written.
    """
    target = Path(folder)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise OutputError(f"The folder {target.name!r} is not empty.", hint="Choose a new folder for the model.")
        place = next(parent for parent in target.absolute().parents if parent.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OutputError(
            f"Cannot write {target.name[:60]!r}: {error.strerror}.", hint="Choose a folder that you may write to."
        ) from error
    return target


def write_pretty(path: Path, value: Any) -> None:
    """Write JSON for people to read: sorted keys, two spaces."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
