"""Where models lie: those that are shipped, and the user's own."""

from __future__ import annotations

from pathlib import Path

FOLDER = "MedAISegmentModels"


def shipped_roots() -> list[Path]:
    """Folders of the models that come with MedAI.

    A checkout has them beside the ``medai`` folder under ``Resources``, an installation in Slicer in the ``Resources``
    that all modules share, a wheel inside the package.
    """
    package = Path(__file__).resolve().parent.parent.parent
    candidates = [package.parent / "Resources" / FOLDER, package / "_resources" / FOLDER]
    return [path for path in candidates if path.is_dir()]
