"""SHA-256 of files of any size, with progress and Cancel."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medai.core.progress import CancelToken, ProgressFn, no_progress

BLOCK = 1 << 20


def hash_file(
    path: Path, *, kind: str = "sha256", progress: ProgressFn = no_progress, cancel: CancelToken | None = None
) -> str:
    """Return a file's checksum in hexadecimal digits.

    Parameters
    ----------
    kind : str
        ``sha256``, or ``sha1`` where a publisher states nothing better.

    Raises
    ------
    OSError
        If it cannot be read.
    Cancelled
        If somebody asked to stop; asked every MiB.
    """
    digest = hashlib.new(kind, usedforsecurity=False)
    done = 0
    with open(path, "rb") as stream:
        size = max(1, path.stat().st_size)
        while block := stream.read(BLOCK):
            if cancel is not None:
                cancel.check()
            digest.update(block)
            done += len(block)
            progress(min(1.0, done / size), "checking")
    progress(1.0, "checking")
    return digest.hexdigest()
