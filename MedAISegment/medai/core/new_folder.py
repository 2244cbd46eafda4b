"""A folder that appears complete or not at all: put together beside its place, published by one rename."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


@contextmanager
def new_folder(folder: str | Path, *, staging: Path | None = None) -> Iterator[Path]:
    """Give a hidden folder beside ``folder``; on success it becomes ``folder``, on failure it is removed.

    Parameters
    ----------
    folder : path
        It must not exist, or be empty; folders above it are made.
    staging : Path, optional
        Where it is put together, on the same disk; what a kill left there is removed first.

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written; also for an ``OSError`` inside the block.
    """
    target = require_new_folder(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if staging is None:
            staging = Path(tempfile.mkdtemp(prefix=".medai-folder-", dir=target.parent))
        else:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
    except OSError as error:
        raise OutputError(f"Cannot write {target.name!r}: {error.strerror}.") from error
    try:
        yield staging
        staging.chmod(0o755)
        if target.exists():
            target.rmdir()
        staging.rename(target)
    except OSError as error:
        raise OutputError(f"Cannot write {target.name!r}: {error.strerror}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_new_folder(folder: str | Path) -> Path:
    """Return the path if a new folder may be made there.

    Raises
    ------
    OutputError
        If it is a file, a folder that holds something, or at a place where nothing may be written.
    """
    target = Path(folder)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise OutputError(f"The folder {target.name!r} is not empty.", hint="Choose a new folder.")
        place = next(parent for parent in target.absolute().parents if parent.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OutputError(
            f"Cannot write {target.name[:60]!r}: {error.strerror}.", hint="Choose a folder that you may write to."
        ) from error
    return target
