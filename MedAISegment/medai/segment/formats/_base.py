"""What a model format is: a way to describe a folder or file as a manifest, and to load its networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from medai.core.progress import CancelToken
from medai.core.registry import Member

from ..inference.network import NetworkSource
from ..manifest import Manifest
from ..models.info import ModelInfo


class ModelFormat(Member, ABC):
    """One kind of model folder or file.

    Nothing in a model is ever executed: structure is built by allow-listed names, weights are read as arrays.
    """

    looks_for: ClassVar[str] = ""
    """What a path must hold to be recognised, for people: ``a folder with plans.json and dataset.json``."""
    needs_trust: ClassVar[bool] = False
    """True if a file of this format carries its own program (TorchScript): it is refused until somebody trusts it."""

    @abstractmethod
    def recognise(self, path: Path) -> bool:
        """Tell from the names of files alone whether ``path`` looks like this format; never raises."""

    @abstractmethod
    def describe(self, path: Path, *, cancel: CancelToken) -> Manifest:
        """Return the manifest that this model would have if it was installed; file paths are relative to ``path``.

        Every file that the result depends on is listed with its size and SHA-256.  A file (not a folder) is described
        relative to its parent.

        Raises
        ------
        ManifestError
            If the format's own description is missing, malformed or asks for what MedAI cannot reproduce; the key or
            name is in the message.
        """

    @abstractmethod
    def networks(self, model: ModelInfo) -> tuple[NetworkSource, ...]:
        """Return the model's networks, one per ensemble member; light: nothing is loaded yet.

        Their ``load`` verifies each file against the manifest, and raises :class:`ChecksumError`,
        :class:`UnsafeModel` or :class:`ModelError`.
        """
