"""Checks of an output file before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path


def require_writable(out: Path, *inputs: Path) -> None:
    """Refuse an output that cannot be written or would replace an input.

    Raises
    ------
    OutputError
        If ``out`` is a folder, its folder is missing or may not be written to, or it is one of the inputs.
    """
    from medai.core.errors import OutputError
    from medai.core.io.formats import writable_suffix

    writable_suffix(out)
    if out.is_dir():
        raise OutputError(f"Cannot write {out.name!r}: a folder of that name exists.")
    if not out.parent.is_dir():
        raise OutputError(f"Cannot write {out.name!r}: its folder does not exist.", hint="Create the folder first.")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"Cannot write {out.name!r}: its folder may not be written to.", hint="Choose another folder."
        )
    if any(out.exists() and path.exists() and out.samefile(path) for path in inputs):
        raise OutputError("The output is one of the inputs.", hint="Choose another name.")


def require_folder(out: Path) -> None:
    """Make the output folder if it is missing.

    Raises
    ------
    OutputError
        If it is a file, or cannot be made.
    """
    from medai.core.errors import OutputError

    if out.exists() and not out.is_dir():
        raise OutputError(f"Cannot write into {out.name!r}: it is a file.", hint="Choose a folder for the results.")
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {out.name!r} cannot be made: {error.strerror}.") from None
