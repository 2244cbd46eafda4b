"""Prepared cases on disk, as memory maps: prepared once, found again by what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.atomic import atomic_path, ensure_folder
from medai.core.errors import InputError
from medai.core.io import read_volume
from medai.core.io.formats import split_name
from medai.core.progress import CancelToken
from medai.core.settings import digest_json

from .dataset import CaseFiles
from .recipe import Recipe

Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]
VERSION = 1
"""Raise it when the same files and settings give other arrays."""
CHUNK = 1 << 22


def cached(folder: Path, files: CaseFiles, recipe: Recipe, make: Callable[[], Arrays], cancel: CancelToken) -> Arrays:
    """Return image and classes of a case as memory maps (copy on write); make and write them if they are not there.

    A file that is damaged is written anew.  Several processes may use one folder.

    Raises
    ------
    InputError
        If a file of the case cannot be read.
    OutputError
        If the folder cannot be written to, or is full; no half file is left.
    """
    place = ensure_folder(folder)
    name = key_of(files, recipe, cancel)
    image, classes = place / f"{name}-image.npy", place / f"{name}-classes.npy"
    found = _opened(image, classes)
    if found is None:
        # The classes come last: where they are, the image is complete.
        for target, array in zip((image, classes), make(), strict=True):
            cancel.check()
            with atomic_path(target) as temporary:
                np.save(temporary, array, allow_pickle=False)
        found = _opened(image, classes)
    if found is None:
        raise InputError(
            f"The prepared case {files.case} cannot be read again from the cache.", hint="Empty the cache's folder."
        )
    return found


def key_of(files: CaseFiles, recipe: Recipe, cancel: CancelToken) -> str:
    """Return a name for a prepared case: of its files' contents, and of the settings that prepare it."""
    contents = [_content(path, cancel) for path in (*files.images, files.label_file)]
    labels = [entry.label for entry in recipe.labels]
    return digest_json([VERSION, contents, recipe.prepare.to_dict(), labels])[:40]


def _opened(image: Path, classes: Path) -> Arrays | None:
    try:
        # Copy on write: torch takes no read-only arrays, and nothing may change the files.
        arrays = [np.load(path, mmap_mode="c", allow_pickle=False) for path in (image, classes)]
    except (OSError, ValueError, EOFError):
        return None
    kinds = [(array.ndim, array.dtype) for array in arrays]
    if kinds != [(4, np.dtype(np.float32)), (3, np.dtype(np.uint8))] or arrays[0].shape[1:] != arrays[1].shape:
        return None
    return arrays[0], arrays[1]


def _content(path: Path, cancel: CancelToken) -> str:
    # A folder, or a header whose voxels lie in another file: only the image itself tells what it holds.
    if path.is_dir() or split_name(path)[1].endswith((".mhd", ".nhdr")):
        return read_volume(path).digest()
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                cancel.check()
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path.name!r} cannot be read: {error.strerror or 'unknown reason'}.") from None
    return digest.hexdigest()
