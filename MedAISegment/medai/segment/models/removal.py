"""Removing a model of the user."""

from __future__ import annotations

from pathlib import Path

from medai.core.errors import ModelError
from medai.core.progress import CancelToken
from medai.core.scratch import remove as remove_tree

from .lock import held
from .staging import explained, staging


def remove(folder: Path, root: Path, *, cancel: CancelToken | None = None) -> None:
    """Remove a model's folder at once: it is renamed away first.  A link is removed, never what it leads to.

    Parameters
    ----------
    folder : Path
        A folder, or a link, directly in ``root``.
    root : Path
        The user's models' folder.

    Raises
    ------
    ModelError
        If the folder does not lie directly in ``root``: it comes with MedAI, or is somebody else's.
    OutputError
        If it cannot be removed, or another run is changing it.
    """
    if folder.absolute().parent != root.absolute() or folder.name.startswith("."):
        raise ModelError(f"The model {folder.name!r} is not in your models' folder and is not removed.")
    if cancel is not None:
        cancel.check()
    with staging(root) as work, held(root, f"model-{folder.name}", f"the model {folder.name!r}"):
        try:
            if folder.is_symlink():
                folder.unlink()
                return
            gone = folder.rename(work / "removed")
        except OSError as error:
            raise explained(error, f"The model {folder.name!r} cannot be removed; it may be in use") from None
        remove_tree(gone)
