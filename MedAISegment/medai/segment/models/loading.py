"""One network of a model, loaded once per process; a run takes all members from the model's format instead."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from medai.core.errors import ModelError
from medai.core.progress import CancelToken

from .info import ModelInfo

if TYPE_CHECKING:
    import torch

_LOADED: dict[str, torch.nn.Module] = {}
_LOCK = threading.Lock()


def load_network(model: ModelInfo, *, member: int = 0, cancel: CancelToken | None = None) -> torch.nn.Module:
    """Return a network of the model in evaluation mode, on the CPU, float32; loaded once per process.

    Parameters
    ----------
    model : ModelInfo
    member : int
        Which member of an ensemble, from 0.
    cancel : CancelToken, optional

    Raises
    ------
    ChecksumError
        If the weights differ from the manifest.
    UnsafeModel
        If their file could run code; it is not loaded.
    ModelError
        If they do not fit the network (the first five mismatches are named), hold NaN, or the format has no PyTorch
        network.
    """
    # Formats know models, so they are imported late.
    from ..formats import FORMATS

    sources = FORMATS.create(model.manifest.format).networks(model)
    if not 0 <= member < len(sources) or sources[member].kind == "onnx":
        raise ModelError(f"{model.id}: it has no PyTorch network with the number {member}.")
    source = sources[member]
    with _LOCK:
        if source.key not in _LOADED:
            _LOADED.clear()
            network = source.load(cancel or CancelToken())
            assert network is not None
            _LOADED[source.key] = network
        return _LOADED[source.key]


def unload_networks() -> None:
    """Forget loaded networks, so that their memory is given back."""
    with _LOCK:
        _LOADED.clear()
