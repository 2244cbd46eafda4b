"""A network that is built by its allow-listed name and filled with a file of weights."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from medai.core.errors import ManifestError, SettingsError
from medai.core.progress import CancelToken
from medai.core.settings import digest_json

from ..inference.network import NetworkSource
from ..manifest import FileEntry
from ..models.info import ModelInfo
from ..models.reading import verify_file

if TYPE_CHECKING:
    import torch


def state_dict_sources(model: ModelInfo) -> tuple[NetworkSource, ...]:
    """Return one network per weights file of the manifest, all of the manifest's architecture."""
    manifest = model.manifest
    several = len(manifest.weights) > 1
    return tuple(
        _source(model, weights, f"member {number}" if several else manifest.id)
        for number, weights in enumerate(manifest.weights)
    )


class _Reorder:
    """Puts a network's output channels into another order."""

    def __init__(self, order: tuple[int, ...]) -> None:
        self.order = list(order)

    def __call__(self, module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output[:, self.order]


def _source(model: ModelInfo, weights: FileEntry, title: str) -> NetworkSource:
    name, entry, order = model.id, model.manifest.network, model.manifest.inference.order

    def load(cancel: CancelToken) -> torch.nn.Module:
        from ..models.weights import fill, read_weights
        from ..networks import build_network

        what = f"{name}: {weights.path}"
        cancel.check()
        data = verify_file(model.folder, weights)
        cancel.check()
        state = read_weights(data, what)
        del data
        cancel.check()
        try:
            network = build_network(entry.name, dict(entry.settings))
        except SettingsError as error:
            raise ManifestError(f"{name}: {error.message}", hint=error.hint) from None
        cancel.check()
        filled = fill(network, state, what)
        if order:
            filled.register_forward_hook(_Reorder(order))
        return filled

    structure = digest_json({"network": entry.to_dict(), "order": list(order)})
    key = hashlib.sha256(f"{weights.sha256}:{structure}".encode("ascii")).hexdigest()
    return NetworkSource(key, title, "torch", load)
