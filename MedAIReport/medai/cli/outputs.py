"""Checks of an output file before anything is computed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import AbstractContextManager
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


def one_writer(out: Path) -> AbstractContextManager[None]:
    """Hold an output while it is made: a second run on it is refused, with the name of the first.

    The lock lies in the system's temporary folder, so that nothing is added to the user's.

    Raises
    ------
    OutputError
        On entering, if another run holds it (code BUSY).
    """
    from medai.segment.models.lock import held

    user = os.getuid() if hasattr(os, "getuid") else 0
    root = Path(tempfile.gettempdir()) / f"medai-{user}"
    root.mkdir(mode=0o700, exist_ok=True)
    key = hashlib.sha256(os.fsencode(out.resolve())).hexdigest()[:32]
    return held(root, key, f"the output {out.name!r}")
