"""Private temporary folders that do not outlive their owner, however it ends.

The owner holds a lock on a file in the folder for as long as it lives; the system frees the lock when the owner dies,
so a later process can tell an abandoned folder from one in use and remove it.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from .atomic import remove_journalled
from .errors import OutputError
from .file_lock import try_lock

PREFIX = "medai-w-"
_LOCK = "lock"
_JOURNAL = "journal"
_FRESH_SECONDS = 600.0


class Scratch:
    """A folder of its own, readable by this user only.

    Parameters
    ----------
    root : Path, optional
        Where to make it; the system's temporary folder if not given.  Abandoned folders there are removed first.

    Raises
    ------
    OutputError
        If the folder cannot be made.
    """

    def __init__(self, root: Path | None = None) -> None:
        place = Path(tempfile.gettempdir()) if root is None else Path(root)
        sweep(place)
        try:
            self.folder, self._lock = _make(place)
            self.temporary.mkdir()
        except OSError as error:
            raise OutputError(
                f"The temporary folder cannot be used: {error.strerror or 'unknown reason'}.",
                hint="Name another temporary folder (TMPDIR).",
            ) from error
        self._numbers = itertools.count(1)

    @property
    def journal(self) -> Path:
        """Where the worker notes the unfinished files that it writes elsewhere, see :mod:`medai.core.atomic`."""
        return self.folder / _JOURNAL

    @property
    def temporary(self) -> Path:
        """The worker's own folder for temporary files."""
        return self.folder / "t"

    def new_folder(self) -> Path:
        """Make and return an empty folder for one job."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def clear(self) -> None:
        """Remove what a dead worker left: unfinished files elsewhere, and its temporary files."""
        remove_journalled(self.journal)
        for item in _listed(self.temporary):
            remove(item)

    def close(self) -> None:
        """Remove the folder.  Nothing uses it any more."""
        remove_journalled(self.journal)
        self._lock.close()
        remove(self.folder)


def sweep(root: Path) -> None:
    """Remove the folders below ``root`` whose owner is dead."""
    for folder in _listed(root):
        if folder.name.startswith(PREFIX):
            remove_if_abandoned(folder)


def remove_if_abandoned(folder: Path) -> bool:
    """Remove a :class:`Scratch` folder if no living process owns it; return whether that was so."""
    try:
        if folder.is_symlink() or not folder.is_dir():
            return False
        if not (folder / _LOCK).exists():
            # Its owner may be between making the folder and the lock.
            if time.time() - folder.stat().st_mtime < _FRESH_SECONDS:
                return False
            remove(folder)
            return True
        with open(folder / _LOCK, "rb+") as stream:
            if not try_lock(stream):
                return False
            remove_journalled(folder / _JOURNAL)
            remove(folder)  # while the lock is held, so that an owner who waits for it finds the folder gone
    except OSError:
        return False  # somebody else's, or gone already
    remove(folder)  # Windows keeps the open lock file until now
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, as far as possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            pass


def _make(root: Path) -> tuple[Path, BinaryIO]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        lock = open(folder / _LOCK, "xb+")  # noqa: SIM115 (held open as long as the owner lives)
        # A sweeping process may have been faster than the lock: then take another folder.
        if try_lock(lock) and (folder / _LOCK).exists():
            return folder, lock
        lock.close()


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
