"""MedAI's own model folders: manifest.json and one or several files of weights."""

from __future__ import annotations

from pathlib import Path

from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ..manifest import Manifest
from ..models.info import ModelInfo
from ..models.reading import read_model
from ._base import ModelFormat
from ._state_dict import state_dict_sources


class MedAIFormat(ModelFormat):
    """A folder that describes itself; weights as safetensors, or a state dict of ``torch.save``."""

    name = "medai"
    title = "MedAI model folder"
    requires = ("torch", "safetensors")
    looks_for = "a folder with manifest.json"

    def recognise(self, path: Path) -> bool:
        """Tell whether there is a manifest."""
        return (path / "manifest.json").is_file()

    def describe(self, path: Path, *, cancel: CancelToken) -> Manifest:
        """Return the manifest as it is written; the weights are not read.

        Raises
        ------
        ManifestError
            If it is malformed or has wrong values (each key is named).
        """
        cancel.check()
        return read_model(path).manifest

    def networks(self, model: ModelInfo) -> tuple[NetworkSource, ...]:
        """Return one network per weights file."""
        return state_dict_sources(model)
