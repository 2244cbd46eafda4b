"""A private folder beside the models in which a new one is made, and the errors of a disk in plain words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medai.core.atomic import ensure_folder
from medai.core.errors import OutputError
from medai.core.scratch import Scratch

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EACCES: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "a name is too long",
}


def explained(error: OSError, what: str) -> OutputError:
    """Return the error that says why something could not be written, without a path.

    Parameters
    ----------
    what : str
        What failed, as the start of a sentence: ``The model cannot be stored``.
    """
    reason = _WORDS.get(error.errno or 0, error.strerror or "unknown reason")
    return OutputError(f"{what}: {reason}.", hint="Nothing was changed. Make room, or choose another folder.")


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Give an empty folder on the same file system as the models; it is removed however the work ends.

    What a killed process left is removed by the next one.

    Raises
    ------
    OutputError
        If ``root`` cannot be made or may not be written to.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    ensure_folder(root)
    scratch = Scratch(root)
    try:
        yield scratch.new_folder()
    finally:
        scratch.close()
        for folder in made:
            try:
                folder.rmdir()  # only those that were made for this and stayed empty
            except OSError:
                break
