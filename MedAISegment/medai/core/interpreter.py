"""Which Python runs the worker, and with which environment."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

from .errors import DependencyError

_PYTHON = re.compile(r"(pythonw?|pypy)[0-9.]*|pythonslicer|python-real", re.IGNORECASE)


def find_python() -> str:
    """Return the path of an interpreter that can import what this process can.

    Inside 3D Slicer ``sys.executable`` may be the application, which would start a second one: then ``PythonSlicer``
    beside it, beside Python's own folder, or on the PATH is taken.

    Raises
    ------
    DependencyError
        If there is none.
    """
    if sys.executable and _is_python(Path(sys.executable)):
        return sys.executable
    prefix = Path(sys.prefix)
    places = [prefix.parent.parent / "bin", prefix / "bin", prefix]
    if sys.executable:
        beside = Path(sys.executable).parent
        places = [beside, beside / "bin", beside.parent / "bin", *places]
    search_path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    # A python3 on the PATH is the system's, which cannot import what the application can.
    for name, folders in (("PythonSlicer", places + search_path), ("python3", places), ("python", places)):
        for folder in folders:
            candidate = folder / (f"{name}.exe" if os.name == "nt" else name)
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return str(candidate)
    raise DependencyError(
        "No Python interpreter was found beside this application.", hint="Name one: WorkerRunner(python=...)."
    )


def child_environment(temporary: Path) -> dict[str, str]:
    """Return the environment of a worker process.

    Parameters
    ----------
    temporary : Path
        Folder for the worker's temporary files.
    """
    environment = dict(os.environ)
    # In Slicer's developer mode the module folders are on sys.path only, not in any place the child would look.
    medai = importlib.import_module("medai")
    folders = [str(Path(portion).absolute().parent) for portion in medai.__path__]
    folders += filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    # A file called numpy.py in the current folder must not be imported (Python 3.11 and newer).
    environment["PYTHONSAFEPATH"] = "1"
    for name in ("TMPDIR", "TEMP", "TMP"):
        environment[name] = str(temporary)
    return environment


def _is_python(executable: Path) -> bool:
    return _PYTHON.fullmatch(executable.name.removesuffix(".exe").removesuffix(".EXE")) is not None
