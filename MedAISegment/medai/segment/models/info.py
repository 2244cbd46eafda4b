"""A model that is here: its id, its folder and what it says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..manifest import Manifest


@dataclass(frozen=True)
class ModelInfo:
    """A model folder whose manifest is valid.

    Parameters
    ----------
    id, title : str
        Machine name and name for people.
    folder : Path
        Where it is.
    manifest : Manifest
        What it says about itself.
    """

    id: str
    title: str
    folder: Path
    manifest: Manifest
