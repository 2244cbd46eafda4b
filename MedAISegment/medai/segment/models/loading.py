"""Building a model's network and filling it with its weights, after every check."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from medai.core.errors import ManifestError, ModelError, SettingsError

from ..networks import build_network
from .info import ModelInfo
from .reading import verify_file

if TYPE_CHECKING:
    import torch

_LOADED: dict[str, torch.nn.Module] = {}
_LOCK = threading.Lock()


def load_network(model: ModelInfo) -> torch.nn.Module:
    """Return the model's network in evaluation mode, on the CPU, float32; loaded once per process.

    Only safetensors files are read: they hold arrays and cannot execute code.

    Raises
    ------
    ChecksumError
        If the weights differ from the manifest.
    ModelError
        If they do not fit the network (the first five mismatches are named) or hold NaN.
    """
    key = f"{model.manifest.weights_sha256}:{model.manifest.digest()}"
    with _LOCK:
        if key not in _LOADED:
            _LOADED.clear()
            _LOADED[key] = _load(model)
        return _LOADED[key]


def unload_networks() -> None:
    """Forget loaded networks, so that their memory is given back."""
    with _LOCK:
        _LOADED.clear()


def _load(model: ModelInfo) -> torch.nn.Module:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = verify_file(model.folder, model.manifest.weights[0])
    try:
        stored = load(data)
    except SafetensorError:
        raise ModelError(f"{model.id}: {model.manifest.weights[0].path} is not a safetensors file.") from None
    try:
        network = build_network(model.manifest.network.name, dict(model.manifest.network.settings))
    except SettingsError as error:
        raise ManifestError(f"{model.id}: {error.message}", hint=error.hint) from None
    wanted = network.state_dict()
    aliases = _aliases(wanted)
    problems = _mismatches(stored, {n: v for n, v in wanted.items() if n not in aliases})
    if problems:
        raise ModelError(
            f"{model.id}: the weights do not fit the network: {'; '.join(problems[:5])}"
            + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
            + ".",
            hint="The manifest's network settings must be those of the training.",
        )
    spoiled = [name for name, value in stored.items() if not torch.isfinite(value).all()]
    if spoiled:
        raise ModelError(f"{model.id}: the weights {', '.join(spoiled[:5])} hold NaN or infinity.")
    network.load_state_dict({n: stored[aliases.get(n, n)].float() for n in wanted}, strict=True)
    return network.eval()


def _aliases(state: dict[str, Any]) -> dict[str, str]:
    """Names that MONAI's DynUNet gives to a layer a second time -> the first name of the same memory."""
    first: dict[tuple[int, Any], str] = {}
    aliases: dict[str, str] = {}
    for name, value in state.items():
        key = (value.data_ptr(), tuple(value.shape))
        if key in first:
            aliases[name] = first[key]
        else:
            first[key] = name
    return aliases


def _mismatches(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    problems = [f"{name} is missing" for name in wanted if name not in stored]
    problems += [f"{name} is unknown" for name in stored if name not in wanted]
    problems += [
        f"{name} has shape {tuple(stored[name].shape)}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in stored and stored[name].shape != value.shape
    ]
    return problems
