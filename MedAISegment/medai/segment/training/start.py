"""Weights of a stored model to begin a training with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medai.core.errors import ModelError

from ..models.info import ModelInfo
from ..models.loading import load_network
from ..networks import NETWORKS, build_network
from .loop import network_of
from .recipe import Recipe

if TYPE_CHECKING:
    import torch

DYNUNETS = ("unet3d", "dynunet")
ENCODER = ("input_block.", "downsamples.", "bottleneck.")
"""How the names of the weights on the way down begin in MONAI's DynUNet."""
HINT = "Train a model of your own with 'medai train'."


@dataclass(frozen=True)
class Start:
    """What a fine-tuning begins with.

    Parameters
    ----------
    weights : mapping
        Every weight of the network in training, float32.
    origin : mapping
        ``id``, ``version``, ``sha256``, ``title`` and ``licence`` of the parent.
    notes : tuple of str
        What started at random, and why.
    frozen : tuple of str
        Weights that training leaves as they are.
    """

    weights: dict[str, torch.Tensor]
    origin: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())
    frozen: tuple[str, ...] = ()


def require_tunable(parent: ModelInfo) -> None:
    """Refuse a model that training cannot go on with.

    Raises
    ------
    ModelError
        With the reason.
    """
    m = parent.manifest
    reason = ""
    if m.format != "medai":
        kinds = {"onnx": "an ONNX file", "torchscript": "a TorchScript archive"}
        what = kinds.get(m.format, f"of the format {m.format!r}")
        reason = f"it is {what}, which holds no network that MedAI could train further"
    elif m.network.name not in {kind.name for kind in NETWORKS.classes()}:
        reason = f"MedAI does not build its network {m.network.name!r}"
    elif len(m.weights) > 1:
        reason = f"it is an ensemble of {len(m.weights)} networks"
    elif m.previous is not None:
        reason = "it reads the labels of a stage before it"
    elif m.inference.dims != 3:
        reason = "its network reads slices; training makes three-dimensional patches"
    elif m.inference.regions or m.inference.order or m.inference.activation != "softmax":
        reason = "its outputs are not one class each, of which the largest wins"
    if reason:
        raise ModelError(f"The model {parent.id!r} cannot be fine-tuned: {reason}.", hint=HINT)


def start_from(parent: ModelInfo, recipe: Recipe, *, freeze_encoder: bool = False) -> Start:
    """Return the parent's weights, fitted to the recipe's labels.

    Outputs are matched by the names of the labels; those of labels that the parent does not have, and the outputs of
    coarser levels, which only training uses, start at random by the recipe's seed.

    Parameters
    ----------
    freeze_encoder : bool
        Leave the layers on the way down as they are.

    Raises
    ------
    ModelError
        If the parent cannot be fine-tuned, or its network is another than the recipe's.
    """
    import torch

    require_tunable(parent)
    stored = load_network(parent).state_dict()
    name, settings = network_of(recipe, training=True)
    generator = torch.random.get_rng_state()
    try:
        torch.manual_seed(recipe.seed)
        fresh = build_network(name, settings).state_dict()
        outputs = _output_layers(name, settings)
    finally:
        torch.random.set_rng_state(generator)
    old = [entry.name for entry in parent.manifest.labels]
    new = [entry.name for entry in recipe.labels]
    # Row 0 is the background of both.
    rows = [(n + 1, old.index(label) + 1) for n, label in enumerate(new) if label in old]
    weights, random, wrong = {}, [], []
    for key, value in fresh.items():
        if key.startswith("skip_layers."):
            continue  # MONAI's second name for layers; filled below
        if key not in stored:
            weights[key] = value
            random.append(key)
        elif key in outputs and stored[key].shape[1:] == value.shape[1:]:
            row = value.clone()
            for target, source in [(0, 0), *rows]:
                row[target] = stored[key][source]
            weights[key] = row
        elif stored[key].shape == value.shape:
            weights[key] = stored[key].clone()
        else:
            wrong.append(key)
    coarse = [key for key in random if not key.startswith(("deep_supervision_heads.", "heads."))]
    if wrong or coarse:
        first = (wrong + coarse)[0]
        raise ModelError(
            f"The model {parent.id!r} cannot be fine-tuned with this recipe: the networks differ, first at {first!r}.",
            hint="Keep the parent's network, channels and filters.",
        )
    manifest = parent.manifest
    missing = [label for label in new if label not in old]
    notes = [f"Fine-tuned from {parent.id} {manifest.version}."]
    if missing:
        notes.append(f"The outputs of labels that it does not have started at random: {', '.join(missing)}.")
    dropped = [label for label in old if label not in new]
    if dropped:
        notes.append(f"Labels of it that are no longer there: {', '.join(dropped)}.")
    if random:
        notes.append("The outputs of coarser levels, which only training uses, started at random.")
    frozen: tuple[str, ...] = ()
    if freeze_encoder:
        frozen = tuple(key for key in weights if key.startswith(ENCODER) and name in DYNUNETS)
        if not frozen:
            raise ModelError(
                f"The encoder of {parent.id!r} cannot be frozen: which layers of {name!r} it is, is not known.",
                hint="Fine-tune all layers.",
            )
        notes.append("The layers on the way down stay as they are.")
    network = build_network(name, settings)
    network.load_state_dict(weights, strict=False)
    origin = {
        "id": parent.id, "version": manifest.version, "sha256": manifest.weights_sha256, "title": parent.title,
        "licence": manifest.description.licence,
    }  # fmt: skip
    return Start(dict(network.state_dict()), origin, tuple(notes), frozen)


def _output_layers(name: str, settings: dict[str, Any]) -> set[str]:
    """Return the weights whose first size is the number of classes: those that change with it."""
    count = settings["out_channels"]
    shapes = []
    for number in (count, count + 1):
        state = build_network(name, {**settings, "out_channels": number}).state_dict()
        shapes.append({key: tuple(value.shape) for key, value in state.items()})
    return {key for key, shape in shapes[0].items() if shapes[1][key] != shape}
