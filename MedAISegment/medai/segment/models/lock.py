"""One at a time: a lock on a name that says who holds it, and that the system frees when its owner dies."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from medai.core.errors import OutputError
from medai.core.file_lock import try_lock

FOLDER = ".locks"
_BEYOND = 1 << 30  # Windows forbids others to read the byte that is locked: lock one that holds no text


@contextmanager
def held(root: Path, name: str, what: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock ``name`` of a folder; nobody else can meanwhile, in this process or another.

    Parameters
    ----------
    root : Path
        The folder that the lock belongs to; it must exist.
    name : str
        A plain name: letters, digits, ``-``.
    what : str
        What the lock is for, in the message of who comes second: ``the model 'spleen'``.
    wait : float
        Seconds to wait for another owner.

    Raises
    ------
    OutputError
        If another one holds it; the owner is named.  Or if the folder may not be written to.
    """
    path = root / FOLDER / f"{name}.lock"
    deadline = time.monotonic() + wait
    while (stream := _acquire(path)) is None:
        if time.monotonic() >= deadline:
            raise OutputError(
                f"Another run is changing {what}: {_owner(path)}.", hint="Wait until it is done.", code="BUSY"
            )
        time.sleep(0.02)
    try:
        stream.write(f"process {os.getpid()} on {platform.node() or 'this computer'}, since {_now()}".encode())
        stream.flush()
        yield
    finally:
        _release(path, stream)


def _acquire(path: Path) -> BinaryIO | None:
    try:
        path.parent.mkdir(exist_ok=True)
        stream = open(path, "ab+", buffering=0)  # noqa: SIM115 (held open as long as the lock is)
    except FileNotFoundError:
        return None  # the owner before removed the folder just now
    except OSError as error:
        raise OutputError(
            f"No lock can be made in {path.parent.parent.name!r}: {error.strerror or 'unknown reason'}.",
            hint="Choose a folder that you may write to; MEDAI_MODELS names the one for models.",
        ) from None
    try:
        if not try_lock(stream, _BEYOND):
            stream.close()
            return None
        # The owner before may have removed the file between our opening and our locking it.
        if not path.exists() or not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
            stream.close()
            return None
        stream.truncate(0)
    except OSError:
        stream.close()
        return None
    return stream


def _release(path: Path, stream: BinaryIO) -> None:
    # Windows cannot remove an open file, the others should while it is still theirs.
    if sys.platform == "win32":
        stream.close()
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:
        pass  # somebody waits for it, or other locks are held
    stream.close()


def _owner(path: Path) -> str:
    try:
        text = path.read_bytes()[:200].decode("utf-8", "replace")
    except OSError:
        text = ""
    return text or "an unknown process"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
