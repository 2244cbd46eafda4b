"""A detector's folder: finding it, reading its manifest, loading its networks if its files are what it says."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medai.core.errors import ManifestError, MedAIError, ModelError, SettingsError
from medai.core.settings import load_json_file

from ..manifest import FileEntry
from ..models.reading import verify_file
from ..models.weights import fill, read_weights
from .manifest import MANIFEST, DetectorManifest
from .network import build_mask_network, build_retinanet

if TYPE_CHECKING:
    import torch

FOLDER = "MedAISegmentDetectors"
_LOADED: dict[str, Networks] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True)
class DetectorModel:
    """A detector on disk."""

    folder: Path
    manifest: DetectorManifest

    @property
    def id(self) -> str:
        """Its name among the detectors."""
        return self.manifest.id

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.manifest.description.title


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks of a detector in evaluation mode, on the CPU."""

    boxes: torch.nn.Module
    masks: torch.nn.Module | None


def read_detector(folder: Path) -> DetectorModel:
    """Read and check a folder's manifest; the weights are not read.

    Raises
    ------
    ManifestError
        If detector.json is missing, malformed or has wrong values (each key is named).
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise ManifestError(f"The folder {folder.name!r} has no {MANIFEST}.", hint="Choose a detector's folder.")
    try:
        manifest = DetectorManifest.parse(load_json_file(file), where=f"{folder.name}/{MANIFEST}")
    except SettingsError as error:
        raise ManifestError(error.message) from None
    return DetectorModel(folder, manifest)


def shipped_detectors() -> list[DetectorModel]:
    """Return the detectors that come with MedAI; a broken one is left out."""
    # As with other models: beside the package in a checkout and in Slicer, inside it in a wheel.
    package = Path(__file__).resolve().parent.parent.parent
    found: dict[str, DetectorModel] = {}
    for root in (package.parent / "Resources" / FOLDER, package / "_resources" / FOLDER):
        for file in sorted(root.glob(f"*/{MANIFEST}")):
            try:
                model = read_detector(file.parent)
            except MedAIError:
                continue
            found.setdefault(model.id, model)
    return list(found.values())


def find_detector(name: str | Path) -> DetectorModel:
    """Return a shipped detector by its id, or the one in a folder.

    Raises
    ------
    ModelError
        If there is none.
    ManifestError
        If the folder's manifest cannot be used.
    """
    shipped = {model.id: model for model in shipped_detectors()}
    if str(name) in shipped:
        return shipped[str(name)]
    folder = Path(name)
    if folder.is_dir():
        return read_detector(folder)
    known = ", ".join(shipped) or "none"
    raise ModelError(f"There is no detector called {folder.name!r}.", hint=f"Known: {known}; or give its folder.")


def load_networks(model: DetectorModel) -> Networks:
    """Return the networks, loaded once per process; only the last detector is kept.

    Raises
    ------
    ChecksumError
        If a file of weights is missing or another one than the manifest names.
    ModelError
        If the weights do not fit the network, or hold NaN.
    """
    m = model.manifest
    key = f"{m.weights.sha256} {m.mask_weights.sha256 if m.mask_weights else ''} {m.digest()} {model.folder}"
    with _LOCK:
        if key not in _LOADED:
            _LOADED.clear()
            boxes = _filled(build_retinanet(m.network, m.anchors, len(m.labels)), model, m.weights)
            masks = None
            if m.mask is not None and m.mask_weights is not None:
                masks = _filled(build_mask_network(m.mask), model, m.mask_weights)
            _LOADED[key] = Networks(boxes, masks)
        return _LOADED[key]


def _filled(network: torch.nn.Module, model: DetectorModel, entry: FileEntry) -> torch.nn.Module:
    data = verify_file(model.folder, entry)
    if not entry.path.lower().endswith(".safetensors"):
        raise ModelError(f"{model.id}: a detector's weights are safetensors, given {entry.path!r}.")
    return fill(network, read_weights(data, entry.path), f"{model.id}/{entry.path}")
