"""A network that is built by its allow-listed name and filled with a file of weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from medai.core.errors import ManifestError, SettingsError
from medai.core.progress import CancelToken
from medai.core.settings import digest_json

from ..inference.network import NetworkSource
from ..manifest import FileEntry, NetworkEntry
from ..models.info import ModelInfo
from ..models.reading import verify_file

if TYPE_CHECKING:
    import torch


def state_dict_sources(model: ModelInfo) -> tuple[NetworkSource, ...]:
    """Return one network per weights file of the manifest, all of the manifest's architecture."""
    manifest = model.manifest
    several = len(manifest.weights) > 1
    return tuple(
        _source(model.id, model.folder, weights, manifest.network, f"member {number}" if several else manifest.id)
        for number, weights in enumerate(manifest.weights)
    )


def _source(name: str, folder: Path, weights: FileEntry, entry: NetworkEntry, title: str) -> NetworkSource:
    def load(cancel: CancelToken) -> torch.nn.Module:
        from ..models.weights import fill, read_weights
        from ..networks import build_network

        what = f"{name}: {weights.path}"
        cancel.check()
        data = verify_file(folder, weights)
        cancel.check()
        state = read_weights(data, what)
        del data
        cancel.check()
        try:
            network = build_network(entry.name, dict(entry.settings))
        except SettingsError as error:
            raise ManifestError(f"{name}: {error.message}", hint=error.hint) from None
        cancel.check()
        return fill(network, state, what)

    key = hashlib.sha256(f"{weights.sha256}:{digest_json(entry.to_dict())}".encode("ascii")).hexdigest()
    return NetworkSource(key, title, "torch", load)
