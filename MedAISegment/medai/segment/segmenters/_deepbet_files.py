"""deepbet's two networks: in its installed package, or in its wheel; taken only if they are the known files."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from medai.core.errors import ChecksumError, DependencyError, ModelError
from medai.core.progress import CancelToken

from ..formats._torchscript_archive import check_archive
from ..inference.network import NetworkSource

if TYPE_CHECKING:
    import torch

KNOWN = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}
"""SHA-256 of the networks of deepbet 1.0.0 to 1.0.2, which are the same; 0.0.1 has others and another procedure."""
MAX_BYTES = 64 * 2**20
HINT = "Install the package deepbet, or name its wheel (deepbet-1.0.2-py3-none-any.whl)."


def deepbet_source(name: str, package: str) -> NetworkSource:
    """Return one of deepbet's networks.

    Parameters
    ----------
    name : str
        ``bbox_model.pt`` or ``model.pt``.
    package : str
        A wheel, or a folder with ``data/models``; empty for the installed package.

    Raises
    ------
    DependencyError
        If no package is named and none is installed.
    ModelError
        If it cannot be read; ``ChecksumError`` if it is another file than deepbet 1.0's.
    """
    data = _read(name, package)
    digest = hashlib.sha256(data).hexdigest()
    if digest != KNOWN[name]:
        raise ChecksumError(
            f"deepbet's {name} has SHA-256 {digest[:12]}..., expected {KNOWN[name][:12]}....",
            hint="MedAI knows the networks of deepbet 1.0.0 to 1.0.2 only.",
        )

    def load(cancel: CancelToken) -> torch.nn.Module:
        import torch

        cancel.check()
        check_archive(data, f"deepbet's {name}")
        cancel.check()
        network: torch.nn.Module = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()
        return network

    return NetworkSource(f"deepbet:{KNOWN[name]}", f"deepbet's {name}", "torchscript", load)


def _read(name: str, package: str) -> bytes:
    member = f"data/models/{name}"
    try:
        if not package:
            found = importlib.util.find_spec("deepbet")
            if found is None or found.origin is None:
                raise DependencyError("The package deepbet is not installed.", hint=HINT)
            return _limited((Path(found.origin).parent.parent / member).read_bytes(), name)
        path = Path(package)
        if path.is_dir():
            return _limited((path / member).read_bytes(), name)
        with zipfile.ZipFile(path) as wheel:
            if wheel.getinfo(member).file_size > MAX_BYTES:
                raise ModelError(f"deepbet's {name} is larger than {MAX_BYTES} bytes.")
            return wheel.read(member)
    except (OSError, KeyError, zipfile.BadZipFile, ValueError) as error:
        place = Path(package).name or "the installed package"
        raise ModelError(
            f"deepbet's {name} cannot be read from {place!r} ({type(error).__name__}).", hint=HINT
        ) from None


def _limited(data: bytes, name: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise ModelError(f"deepbet's {name} is larger than {MAX_BYTES} bytes.")
    return data
