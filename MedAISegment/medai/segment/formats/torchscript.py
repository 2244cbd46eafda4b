"""TorchScript archives with a manifest.json beside them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from medai.core.errors import ModelError
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ..manifest import FileEntry, Manifest
from ..models.info import ModelInfo
from ..models.reading import verify_file
from ..models.trust import require_trust
from ._base import ModelFormat
from ._own_manifest import manifest_beside, template
from ._torchscript_archive import check_archive

if TYPE_CHECKING:
    import torch

SUFFIXES = (".ts", ".pt")


class TorchScriptFormat(ModelFormat):
    """A program in torch's own language: only a file that somebody trusts is loaded, and only if it just computes."""

    name = "torchscript"
    title = "TorchScript"
    requires = ("torch",)
    looks_for = "a TorchScript file (.ts, .pt) with manifest.json beside it"
    needs_trust = True

    def recognise(self, path: Path) -> bool:
        """Tell whether it is a file with one of the endings."""
        return path.suffix.lower() in SUFFIXES and path.is_file()

    def describe(self, path: Path, *, cancel: CancelToken) -> Manifest:
        """Return the manifest beside the file; the file is not loaded.

        Raises
        ------
        ManifestError
            If there is none (a template is in the hint), or it does not fit.
        """
        cancel.check()
        text = "" if path.is_dir() else template(path, self.name, channels=1, window=(96, 96, 96), classes=2)
        return manifest_beside(path, self.name, SUFFIXES, text)

    def networks(self, model: ModelInfo) -> tuple[NetworkSource, ...]:
        """Return one network per archive."""
        several = len(model.manifest.weights) > 1
        return tuple(
            torchscript_source(model.folder, entry, f"member {number}" if several else model.id)
            for number, entry in enumerate(model.manifest.weights)
        )


def torchscript_source(folder: Path, entry: FileEntry, title: str, *, known: bool = False) -> NetworkSource:
    """Return a source whose ``load`` verifies, checks and loads an archive.

    Parameters
    ----------
    folder : Path
    entry : FileEntry
        The archive and its SHA-256.
    title : str
        For messages.
    known : bool
        The SHA-256 stands in MedAI's own code, so that nobody has to trust it again.
    """

    def load(cancel: CancelToken) -> torch.nn.Module:
        import torch

        cancel.check()
        data = verify_file(folder, entry)
        cancel.check()
        if not known:
            require_trust(entry.sha256, f"the TorchScript file {entry.path!r}")
        check_archive(data, entry.path)
        cancel.check()
        try:
            module = torch.jit.load(io.BytesIO(data), map_location="cpu")
        except (RuntimeError, ValueError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"torch cannot load {entry.path}: {line.rstrip('.')}.") from None
        network: torch.nn.Module = module.float().eval()
        return network

    key = hashlib.sha256(f"torchscript:{entry.sha256}".encode("ascii")).hexdigest()
    return NetworkSource(key, title, "torchscript", load)
