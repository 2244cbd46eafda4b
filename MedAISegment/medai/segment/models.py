"""The model store: which models are here, and loading one only after its manifest and checksums fit."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.core.errors import ChecksumError, ManifestError, MedAIError, ModelError, SettingsError
from medai.core.settings import load_json_file

from .manifest import FileEntry, Manifest
from .networks import build_network

if TYPE_CHECKING:
    import torch

FOLDER = "MedAISegmentModels"


@dataclass(frozen=True)
class ModelInfo:
    """A model folder whose manifest is valid.

    Parameters
    ----------
    id, title : str
        Machine name and name for people.
    folder : Path
        Where it is.
    manifest : Manifest
        What it says about itself.
    """

    id: str
    title: str
    folder: Path
    manifest: Manifest


Models = list[ModelInfo]


class ModelStore:
    """Models in a list of folders, each model one sub-folder with a ``manifest.json``.

    Parameters
    ----------
    roots : iterable of path, optional
        The folders; the models that are shipped if not given.
    """

    def __init__(self, roots: Iterable[str | Path] | None = None) -> None:
        self.roots = [Path(r) for r in roots] if roots is not None else shipped_roots()

    def list(self) -> Models:
        """Return the valid models, sorted by id; see :meth:`broken` for the others."""
        return self._scan()[0]

    def broken(self) -> dict[str, str]:
        """Return folder name -> reason of every folder whose manifest cannot be used."""
        return self._scan()[1]

    def find(self, name: str) -> ModelInfo:
        """Return the model of an id, or of a folder's path.

        Raises
        ------
        ModelError
            If there is none.
        ManifestError
            If the folder's manifest cannot be used.
        """
        if "/" in name or "\\" in name or name in (".", "..") or Path(name).is_dir():
            return read_model(Path(name))
        models, broken = self._scan()
        for model in models:
            if model.id == name:
                return model
        if name in broken:
            raise ManifestError(broken[name])
        known = ", ".join(m.id for m in models) or "none"
        raise ModelError(f"There is no model called {name!r}.", hint=f"Known: {known}.")

    def _scan(self) -> tuple[Models, dict[str, str]]:
        found: dict[str, ModelInfo] = {}
        broken: dict[str, str] = {}
        for root in self.roots:
            for file in sorted(root.glob("*/manifest.json")):
                try:
                    model = read_model(file.parent)
                except MedAIError as error:
                    broken[file.parent.name] = str(error)
                else:
                    found.setdefault(model.id, model)
        return [found[key] for key in sorted(found)], broken


def shipped_roots() -> list[Path]:
    """Folders of the models that come with MedAI.

    A checkout has them beside the ``medai`` folder under ``Resources``, an installation in Slicer in the ``Resources``
    that all modules share, a wheel inside the package.
    """
    package = Path(__file__).resolve().parent.parent
    candidates = [package.parent / "Resources" / FOLDER, package / "_resources" / FOLDER]
    return [path for path in candidates if path.is_dir()]


def read_model(folder: Path) -> ModelInfo:
    """Read and check a model folder's manifest; the weights are not read.

    Raises
    ------
    ManifestError
        If manifest.json is missing, malformed or has wrong values (each key is named).
    """
    file = folder / "manifest.json"
    if not file.is_file():
        raise ManifestError(f"The model folder {folder.name!r} has no manifest.json.")
    try:
        manifest = Manifest.parse(load_json_file(file), where=f"{folder.name}/manifest.json")
    except SettingsError as error:
        raise ManifestError(error.message) from None
    return ModelInfo(manifest.id, manifest.description.title, folder, manifest)


def verify_file(folder: Path, entry: FileEntry) -> bytes:
    """Return a model file's bytes if its size and SHA-256 are those of the manifest.

    The bytes that were checked are the bytes that are used, so the file cannot change in between.

    Raises
    ------
    ChecksumError
        If they are not, or the file is missing.
    """
    path = folder / entry.path
    try:
        if path.stat().st_size != entry.bytes:
            raise ChecksumError(
                f"{folder.name}/{entry.path} has {path.stat().st_size} bytes, its manifest says {entry.bytes}.",
                hint="Install the model again.",
            )
        data = path.read_bytes()
    except OSError as error:
        raise ChecksumError(f"{folder.name}/{entry.path} cannot be read: {error.strerror}.") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry.sha256:
        raise ChecksumError(
            f"{folder.name}/{entry.path} has SHA-256 {digest[:12]}..., its manifest says {entry.sha256[:12]}....",
            hint="Install the model again; do not use it as it is.",
        )
    return data


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
    key = f"{model.manifest.weights.sha256}:{model.manifest.digest()}"
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

    data = verify_file(model.folder, model.manifest.weights)
    try:
        stored = load(data)
    except SafetensorError:
        raise ModelError(f"{model.id}: {model.manifest.weights.path} is not a safetensors file.") from None
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
