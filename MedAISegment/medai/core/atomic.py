"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; on success it is renamed over it, on failure it is removed.

    The temporary name keeps the target's suffixes, because many writers choose the format by them.

    Raises
    ------
    OutputError
        If the folder is missing, read-only or full.  An old file at ``target`` is untouched then.
    """
    final = Path(target)
    if final.is_dir():
        raise OutputError(f"Cannot write {final.name!r}: a folder of that name exists.")
    if not final.parent.is_dir():
        raise OutputError(f"Cannot write {final.name!r}: its folder does not exist.", hint="Create the folder first.")
    suffix = "".join(final.suffixes[-2:]) if final.name.lower().endswith(".gz") else final.suffix
    temporary = final.parent / f".medai-{uuid.uuid4().hex[:12]}{suffix}"
    try:
        try:
            yield temporary
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, final)
        except OSError as error:
            raise OutputError(_reason(final, error), hint="The old file, if any, is unchanged.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    """Write UTF-8 text with ``\\n`` line ends atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def ensure_folder(folder: str | Path) -> Path:
    """Create an output folder and prove that it can be written to, before anything is computed.

    Raises
    ------
    OutputError
        If it is a file, cannot be created, or is read-only.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputError(f"The output folder {path.name!r} is a file.", hint="Choose another folder.")
    probe = path / f".medai-{uuid.uuid4().hex[:12]}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
    except OSError as error:
        raise OutputError(_reason(path, error), hint="Choose a folder that you may write to.") from error
    finally:
        try:
            probe.unlink(missing_ok=True)
        except OSError:
            pass
    return path


def _reason(path: Path, error: OSError) -> str:
    words = {
        errno.ENOSPC: "the disk is full",
        errno.EACCES: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.ENAMETOOLONG: "the name is too long",
        errno.ENOTDIR: "a part of its path is a file",
    }
    return f"Cannot write {path.name!r}: {words.get(error.errno or 0, error.strerror or 'unknown reason')}."
