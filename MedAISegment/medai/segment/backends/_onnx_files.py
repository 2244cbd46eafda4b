"""The verified bytes of an ONNX network, given to libraries that read weights beside it from a folder only."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medai.core.errors import ModelError
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource

Files = Mapping[str, bytes]


def verified(source: NetworkSource, cancel: CancelToken) -> tuple[str, Files]:
    """Return the ONNX file's name and the bytes of it and of the files beside it, by name.

    Raises
    ------
    ModelError
        If the source names no ONNX file; ``ChecksumError`` if a file is another one than the manifest says.
    """
    if source.files is None:
        raise ModelError(f"The network {source.title!r} names no ONNX file.")
    found = source.files(cancel)
    cancel.check()
    return next(iter(found)), found


@contextmanager
def folder_with(files: Files) -> Iterator[Path]:
    """Give a private folder with these files, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="medai-onnx-", ignore_cleanup_errors=True) as name:
        for path, data in files.items():
            place = Path(name) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        yield Path(name)
