"""Reading a model folder's manifest, and its files only if they are the files that the manifest names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medai.core.errors import ChecksumError, ManifestError, SettingsError
from medai.core.settings import load_json_file

from ..manifest import FileEntry, Manifest
from .info import ModelInfo


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
