"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError

PREFIX = ".medai-"
"""How the name of every temporary file starts."""

_journal: Path | None = None


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; on success it is renamed over it, on failure it is removed.

    The temporary name keeps the target's suffixes, because many writers choose the format by them.

    Raises
    ------
    OutputError
        If the folder is missing, read-only or full, or ``target`` is a folder or a device.  An old file at ``target``
        is untouched then.
    """
    final = Path(target)
    _require_writable_place(final)
    temporary = final.parent / f"{PREFIX}{uuid.uuid4().hex[:12]}{_suffix(final)}"
    _note(temporary)
    try:
        try:
            yield temporary
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, final)
        except OSError as error:
            raise OutputError(_reason(final, error), hint="The old file, if any, is unchanged.") from error
    finally:
        _remove(temporary)


def write_text(target: str | Path, text: str) -> None:
    """Write UTF-8 text with line feeds as line ends, atomically; half a surrogate pair is written as its escape."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def ensure_folder(folder: str | Path) -> Path:
    """Create an output folder and prove that it can be written to, before anything is computed.

    Raises
    ------
    OutputError
        If it is a file, cannot be created, or is read-only.
    """
    path = Path(folder)
    probe = path / f"{PREFIX}{uuid.uuid4().hex[:12]}"
    try:
        if path.exists() and not path.is_dir():
            raise OutputError(f"The output folder {path.name!r} is a file.", hint="Choose another folder.")
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
    except (OSError, ValueError) as error:
        raise OutputError(_reason(path, error), hint="Choose a folder that you may write to.") from error
    finally:
        _remove(probe)
    return path


def set_journal(file: Path | None) -> None:
    """Note every temporary file from now on in ``file``, so that another process can remove what a kill left over.

    The worker calls this; see :func:`remove_journalled`.
    """
    global _journal
    _journal = file


def remove_journalled(file: Path) -> None:
    """Remove the temporary files that a journal names and that still exist, and empty the journal.

    Only names that :func:`atomic_path` gives are touched.  Call this when the process that wrote the journal is dead.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").split("\0")
    except OSError:
        return
    for line in lines:
        if Path(line).name.startswith(PREFIX):
            _remove(Path(line))
    _remove(file)


def _note(temporary: Path) -> None:
    if _journal is None:
        return
    try:
        with open(_journal, "ab") as stream:
            stream.write(os.fsencode(temporary.absolute()) + b"\0")
    except OSError:
        pass  # a full disk must not forbid writing to another one


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except (OSError, ValueError):
        pass  # the error that led here matters more


def _require_writable_place(final: Path) -> None:
    try:
        if final.is_dir():
            raise OutputError(f"Cannot write {final.name!r}: a folder of that name exists.")
        if not final.parent.is_dir():
            raise OutputError(f"Cannot write {final.name!r}: its folder does not exist.", hint="Create it first.")
        if final.exists() and not final.is_file():
            raise OutputError(f"Cannot write {final.name!r}: it is a device or a pipe, not a file.")
        if "\0" in str(final):
            raise OutputError("Cannot write the file: its name holds a zero character.")
    except OSError as error:
        raise OutputError(_reason(final, error)) from error


def _suffix(final: Path) -> str:
    # Writers choose the format by the end of the name, and some ends have two parts.
    lower = final.name.lower()
    two = lower.endswith((".gz", ".seg.nrrd", ".seg.nhdr"))
    return "".join(final.suffixes[-2:]) if two else final.suffix


def _reason(path: Path, error: OSError | ValueError) -> str:
    words = {
        errno.ENOSPC: "the disk is full",
        errno.EACCES: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.ENAMETOOLONG: "the name is too long",
        errno.ENOTDIR: "a part of its path is a file",
    }
    if not isinstance(error, OSError):
        return "Cannot write: the name holds a zero character."
    return f"Cannot write {path.name!r}: {words.get(error.errno or 0, error.strerror or 'unknown reason')}."
