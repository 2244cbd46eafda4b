"""Formats whose files cannot say how images are prepared: a manifest.json beside them does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medai.core.errors import ManifestError

from ..manifest import Manifest
from ..models.reading import read_model

NEEDED = "id, version, description, prepare, window, inference, labels, weights"


def manifest_beside(path: Path, name: str, suffixes: tuple[str, ...], template: str) -> Manifest:
    """Return the manifest of a folder, or beside a file.

    Parameters
    ----------
    path : Path
        A folder with manifest.json, or one of the files that its manifest names as weights.
    name : str
        The format's name, which the manifest must have.
    suffixes : tuple of str
        How the format's files end.
    template : str
        What to write to manifest.json, shown if there is none.

    Raises
    ------
    ManifestError
        If there is no manifest, or it is of another format, does not name the file or reorders its channels.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / "manifest.json").is_file():
        raise ManifestError(
            f"{path.name} does not say how images are prepared and what its classes are; a manifest.json beside it "
            f"must ({NEEDED}).",
            hint=template,
        )
    manifest = read_model(folder).manifest
    if manifest.format != name:
        raise ManifestError(f"{folder.name}/manifest.json has the format {manifest.format!r}, expected {name!r}.")
    if manifest.inference.order:
        raise ManifestError(
            f"{folder.name}/manifest.json has inference.order, which a network in a file of its own cannot follow.",
            hint="List labels and regions in the order of the network's channels.",
        )
    named = {entry.path for entry in manifest.weights}
    if path.is_file() and path.name not in named:
        raise ManifestError(f"{folder.name}/manifest.json does not name {path.name!r} among its weights.")
    wrong = sorted(entry for entry in named if not entry.lower().endswith(suffixes))
    if wrong:
        raise ManifestError(f"{folder.name}/manifest.json names {wrong[0]!r}, expected a file with {suffixes[0]!r}.")
    return manifest


def template(file: Path, name: str, *, channels: int, window: tuple[int, int, int], classes: int, **more: Any) -> str:
    """Return the text of a manifest.json for a file, whose words in capitals are to be filled in."""
    import hashlib
    import json

    data = file.read_bytes()
    content = {
        "schema_version": 1,
        "format": name,
        "id": "FILL-IN-a-name-in-lower-case",
        "version": "1.0.0",
        "description": dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "FILL IN")
        | {"limits": ["FILL IN"]},
        "network": {"name": name, "settings": more},
        "prepare": {
            "orientation": "RAS",
            "spacing": [1.0, 1.0, 1.0],
            "channels": [{"name": f"FILL IN {n}", "normalise": [{"method": "zscore"}]} for n in range(channels)],
        },
        "window": list(window),
        "inference": {"activation": "softmax", **({"dims": 2} if window[0] == 1 else {})},
        "labels": [{"label": n, "name": f"FILL IN {n}"} for n in range(1, max(classes, 2))],
        "weights": [{"path": file.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}],
    }
    return "Write manifest.json beside it, with FILL IN replaced: " + json.dumps(content)
