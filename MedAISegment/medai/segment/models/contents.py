"""The files of a model: which its manifest names, whether they are as it says, and copying them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from medai.core.errors import ChecksumError
from medai.core.progress import CancelToken, ProgressFn

from ..manifest import FileEntry, Manifest
from .hashing import BLOCK, hash_file
from .licence import is_licence_text

_COMPANIONS = ("readme", "model_card")
_OWN = ("recipe.json", "split.json", "training.json", "assessment.json", "cross_validation.json")
_PICTURES = ("assessment", "assessment/worst")
_LARGEST_COMPANION = 4 << 20


def entries(manifest: Manifest) -> dict[str, FileEntry]:
    """Return path -> entry of every file that a manifest names, its earlier stages' included."""
    found = {entry.path: entry for entry in (*manifest.weights, *manifest.files)}
    return {**entries(manifest.previous), **found} if manifest.previous else found


def with_entries(manifest: Manifest, actual: Mapping[str, FileEntry]) -> Manifest:
    """Return the manifest with other sizes and checksums."""
    changed = manifest.model_copy(
        update={
            "weights": tuple(actual[e.path] for e in manifest.weights),
            "files": tuple(actual[e.path] for e in manifest.files),
            "previous": with_entries(manifest.previous, actual) if manifest.previous else None,
        }
    )
    return Manifest.parse(changed.to_dict(), where="manifest")


def problems(folder: Path, manifest: Manifest, *, progress: ProgressFn, cancel: CancelToken) -> list[str]:
    """Return what is wrong with a model's files, one sentence each; every byte is read."""
    found = []
    wanted = entries(manifest)
    whole = max(1, sum(entry.bytes for entry in wanted.values()))
    done = 0
    for path, entry in sorted(wanted.items()):
        file = folder / path
        cancel.check()
        try:
            if not file.is_file():
                found.append(f"{path} is missing.")
            elif (size := file.stat().st_size) != entry.bytes:
                found.append(f"{path} has {size} bytes, expected {entry.bytes}.")
            elif (digest := hash_file(file, cancel=cancel)) != entry.sha256:
                found.append(f"{path} has SHA-256 {digest[:12]}..., expected {entry.sha256[:12]}....")
        except OSError as error:
            found.append(f"{path} cannot be read: {error.strerror}.")
        done += entry.bytes
        progress(min(1.0, done / whole), path)
    progress(1.0, "checked")
    return found


def stage(
    source: Path, target: Path, manifest: Manifest, *, move: bool, progress: ProgressFn, cancel: CancelToken
) -> dict[str, FileEntry]:
    """Bring the files that a manifest names into a new folder, and return what they are.

    Only these and the texts about them are taken: a training folder also holds predictions of patients.

    Parameters
    ----------
    move : bool
        True if the source is a private temporary folder on the same file system.

    Raises
    ------
    ChecksumError
        If a file is missing or cannot be read.
    """
    wanted = entries(manifest)
    whole = max(1, sum(entry.bytes for entry in wanted.values()))
    actual, done = {}, 0
    for path in sorted(wanted):
        file, new = source / path, target / path
        new.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            raise ChecksumError(f"The model's file {path} is missing.", hint="Get the model again.")
        actual[path] = _take(file, new, path, move=move, cancel=cancel)
        done += wanted[path].bytes
        progress(min(1.0, done / whole), f"storing {path}")
    for file in _companions(source, wanted, own=manifest.format == "medai"):
        new = target / file.relative_to(source)
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, new)
    progress(1.0, "stored")
    return actual


def changed(wanted: Mapping[str, FileEntry], actual: Mapping[str, FileEntry]) -> list[str]:
    """Return the paths whose files are others than the manifest says."""
    return sorted(path for path, entry in wanted.items() if actual[path] != entry)


def size_on_disk(folder: Path) -> int:
    """Return the bytes of all files in a folder; links are not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


def _take(file: Path, new: Path, path: str, *, move: bool, cancel: CancelToken) -> FileEntry:
    if not file.stat().st_size:
        raise ChecksumError(f"The model's file {path} is empty.", hint="Get the model again.")
    if move:
        file.replace(new)
        return FileEntry(path=path, bytes=new.stat().st_size, sha256=hash_file(new, cancel=cancel))
    digest, size = hashlib.sha256(), 0
    try:
        stream = open(file, "rb")  # noqa: SIM115 (an error while writing is another one)
    except OSError as error:
        raise ChecksumError(f"The model's file {path} cannot be read: {error.strerror}.") from None
    with stream, open(new, "xb") as sink:
        while block := stream.read(BLOCK):
            cancel.check()
            digest.update(block)
            size += len(block)
            sink.write(block)
    return FileEntry(path=path, bytes=size, sha256=digest.hexdigest())


def _companions(source: Path, taken: Mapping[str, FileEntry], *, own: bool) -> list[Path]:
    found = []
    for folder in (source, source / "docs"):
        for file in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
            name = file.name.lower()
            wanted = name.startswith(_COMPANIONS) or is_licence_text(file.name) or (own and name in _OWN)
            if not wanted or file.is_symlink() or not file.is_file() or file.relative_to(source).as_posix() in taken:
                continue
            if file.stat().st_size <= _LARGEST_COMPANION:
                found.append(file)
    return [*found, *_pictures(source, taken)] if own else found


def _pictures(source: Path, taken: Mapping[str, FileEntry]) -> list[Path]:
    """Return the pictures that a model's card shows."""
    found = []
    for folder in (source / name for name in _PICTURES):
        if folder.is_symlink() or not folder.is_dir():
            break
        for file in sorted(folder.glob("*.png")):
            known = file.is_symlink() or not file.is_file() or file.relative_to(source).as_posix() in taken
            if not known and file.stat().st_size <= _LARGEST_COMPANION:
                found.append(file)
    return found
