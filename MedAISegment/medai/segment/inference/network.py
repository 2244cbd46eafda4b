"""A network that can be loaded, whatever file it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from medai.core.progress import CancelToken

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NetworkSource:
    """One member of an ensemble.

    Parameters
    ----------
    key : str
        SHA-256 over weights and structure: equal keys, equal functions.  Loaded and compiled networks are kept by it.
    title : str
        For messages, for example ``fold 0``.
    kind : {"torch", "torchscript", "onnx"}
        What ``load`` gives: a module (float32, CPU, evaluation mode), a scripted module, or None with ``files`` set.
    load : callable
        ``load(cancel) -> torch.nn.Module | None``.  Verifies the files first; for ONNX it only verifies.  The module
        belongs to the caller, who moves and changes it: a new one each time.
    files : callable, optional
        ``files(cancel)`` gives the ONNX file's bytes by its name, and then those of the files with weights beside it,
        all verified: a library is given these, not a path whose file could be another one by then.
    channels_last : bool
        The ONNX network takes (B, K, J, I, C) and gives (B, K, J, I, classes), as TensorFlow's do.
    """

    key: str
    title: str
    kind: Literal["torch", "torchscript", "onnx"]
    load: Callable[[CancelToken], torch.nn.Module | None]
    files: Callable[[CancelToken], Mapping[str, bytes]] | None = None
    channels_last: bool = False
