"""What a path is: a model of ours, or of the first format that recognises it."""

from __future__ import annotations

import os
from pathlib import Path

from medai.core.errors import ManifestError, ModelError
from medai.core.progress import CancelToken

from .info import ModelInfo
from .reading import read_model

MANIFEST = "manifest.json"
_DEEPEST = 4
_IGNORED = {"__MACOSX"}
_REMEMBERED = 8
_MOST_FILES = 5000
Seen = tuple[tuple[str, int, int, int, int], ...]
_described: dict[Path, tuple[Seen, ModelInfo]] = {}


def describe(path: Path, *, cancel: CancelToken | None = None) -> ModelInfo:
    """Return the model that a folder or file holds; nothing in it is executed.

    A folder with ``manifest.json`` describes itself.  Any other path is described by the first format, by name, that
    recognises it; a file is described relative to its folder.  That reads all of the model's files, so that it is
    remembered as long as none of them changes.

    Raises
    ------
    ModelError
        If no format recognises it; what each looks for is in the hint.
    ManifestError
        If its own description cannot be used.
    DependencyError
        If a package that its format needs is missing.
    """
    from ..formats import FORMATS

    if (path / MANIFEST).is_file():
        return read_model(path)
    if not path.exists():
        raise ModelError(f"There is no model folder or file {path.name!r}.")
    if (name := recognised(path)) is None:
        what = "folder" if path.is_dir() else "file"
        hint = f"MedAI looks for: {looked_for()}."
        if path.suffix.lower() == ".zip":
            hint = "It is an archive: install it first (medai models install)."
        raise ModelError(f"The {what} {path.name!r} is no model that MedAI knows.", hint=hint)
    place, seen = path.absolute(), _seen(path)
    if seen is not None and (known := _described.get(place)) is not None and known[0] == seen:
        return known[1]
    manifest = FORMATS.create(name).describe(path, cancel=cancel or CancelToken())
    model = ModelInfo(manifest.id, manifest.description.title, path if path.is_dir() else path.parent, manifest)
    # Not if a file was changed while it was read.
    if seen is not None and seen == _seen(path):
        while len(_described) >= _REMEMBERED:
            _described.pop(next(iter(_described)), None)
        _described[place] = seen, model
    return model


def _seen(path: Path) -> Seen | None:
    """Return what tells a changed folder from the same one; None if there is too much to look at.

    Loading compares each file with its SHA-256 anyway: this only spares reading gigabytes anew for each image.
    """
    if not path.is_dir():
        return None  # what lies beside a file may be anything
    found = []
    try:
        for place, folders, names in os.walk(path):
            if len(Path(place).relative_to(path).parts) >= _DEEPEST:
                folders.clear()
            for name in sorted(names):
                file = Path(place, name)
                status = file.stat()
                found.append((str(file), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
                if len(found) > _MOST_FILES:
                    return None
    except OSError:
        return None
    return tuple(sorted(found))


def recognised(path: Path) -> str | None:
    """Return the name of the format that recognises a path; None if none does."""
    from ..formats import FORMATS

    return next((cls.name for cls in FORMATS.classes() if cls().recognise(path)), None)


def looked_for() -> str:
    """Return what the formats look for, for people."""
    from ..formats import FORMATS

    wanted = [f"a folder with {MANIFEST}"]
    wanted += [cls.looks_for or cls.title for cls in FORMATS.classes()]
    return "; ".join(dict.fromkeys(filter(None, wanted)))


def needs_trust(name: str) -> bool:
    """Tell whether files of a format carry a program of their own.

    Raises
    ------
    ManifestError
        If there is no such format.
    """
    from ..formats import FORMATS

    found = {cls.name: cls.needs_trust for cls in FORMATS.classes()}
    if name not in found and name != "medai":
        raise ManifestError(
            f"There is no model format called {name!r}.", hint=f"Known: {', '.join(sorted(found)) or 'none'}."
        )
    return found.get(name, False)


def locate(folder: Path) -> Path:
    """Return the one model in a folder or, as archives have it, some levels below.

    Raises
    ------
    ModelError
        If there is none, or there are several on one level.
    """
    level = [folder]
    for _ in range(_DEEPEST):
        hits = [path for path in level if (path / MANIFEST).is_file() or recognised(path) is not None]
        if len(hits) == 1:
            return hits[0]
        if hits:
            names = ", ".join(sorted(path.name for path in hits)[:5])
            raise ModelError(f"There are {len(hits)} models in one: {names}.", hint="Unpack it and install one.")
        level = [
            path
            for parent in level
            if parent.is_dir() and not parent.is_symlink()
            for path in sorted(parent.iterdir())
            if not path.name.startswith(".") and path.name not in _IGNORED
        ]
    raise ModelError("It holds no model that MedAI knows.", hint=f"MedAI looks for: {looked_for()}.")
