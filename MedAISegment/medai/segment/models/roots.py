"""Where models lie: those that are shipped, and the user's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

FOLDER = "MedAISegmentModels"
VARIABLE = "MEDAI_MODELS"


def shipped_roots() -> list[Path]:
    """Folders of the models that come with MedAI.

    A checkout has them beside the ``medai`` folder under ``Resources``, an installation in Slicer in the ``Resources``
    that all modules share, a wheel inside the package.
    """
    package = Path(__file__).resolve().parent.parent.parent
    candidates = [package.parent / "Resources" / FOLDER, package / "_resources" / FOLDER]
    return [path for path in candidates if path.is_dir()]


def user_root(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return the folder of the user's own models; it need not exist yet.

    It lies outside the extension's folder, so that an update of the extension keeps it: the folder that the
    environment variable MEDAI_MODELS names, else ``MedAI/models`` in the platform's folder for the programs' data
    (LOCALAPPDATA on Windows, ``Library/Application Support`` on macOS, XDG_DATA_HOME or ``.local/share`` elsewhere).

    Parameters
    ----------
    environment : mapping, optional
        Environment variables; those of this process if not given.
    platform : str
        As ``sys.platform``.
    """
    found = os.environ if environment is None else environment
    if found.get(VARIABLE, "").strip():
        return Path(found[VARIABLE]).expanduser().absolute()
    if platform == "win32":
        base, default = found.get("LOCALAPPDATA", ""), Path.home() / "AppData" / "Local"
    elif platform == "darwin":
        base, default = "", Path.home() / "Library" / "Application Support"
    else:
        base, default = found.get("XDG_DATA_HOME", ""), Path.home() / ".local" / "share"
    # The XDG specification says that a relative path is to be ignored.
    folder = Path(base) if base and Path(base).is_absolute() else default
    return folder / "MedAI" / "models"
