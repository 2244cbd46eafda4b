"""nnU-Net's checkpoints: read as arrays and plain values, never as the pickles they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medai.core.errors import ManifestError, ModelError
from medai.core.progress import CancelToken

from ..models.weights import read_checkpoint

_BLOCK = 8 << 20


@dataclass(frozen=True)
class Facts:
    """What a checkpoint says beside its weights.

    Parameters
    ----------
    trainer : str
        Name of nnU-Net's trainer class.
    configuration : str
        Name of the configuration in plans.json.
    mirror_axes : tuple of int
        Axes of the network's input that may be mirrored, 0 the first one.
    """

    trainer: str
    configuration: str
    mirror_axes: tuple[int, ...]


def read_facts(data: bytes, name: str) -> Facts:
    """Return what a checkpoint says about itself.

    Raises
    ------
    UnsafeModel
        If it holds anything but arrays and plain values.
    ManifestError
        If it is no checkpoint of nnU-Net version 2.
    """
    stored = read_checkpoint(data, name)
    arguments = stored.get("init_args")
    configuration = arguments.get("configuration") if isinstance(arguments, dict) else None
    trainer = stored.get("trainer_name")
    if "network_weights" not in stored or not isinstance(trainer, str) or not isinstance(configuration, str):
        raise ManifestError(
            f"{name} is no checkpoint of nnU-Net version 2: network_weights, trainer_name or init_args.configuration "
            "is missing."
        )
    return Facts(trainer[:200], configuration[:200], _axes(stored.get("inference_allowed_mirroring_axes"), name))


def read_bytes(file: Path, cancel: CancelToken) -> bytes:
    """Return a file's bytes; asks for Cancel every few MiB.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    parts = []
    try:
        with open(file, "rb") as stream:
            while block := stream.read(_BLOCK):
                cancel.check()
                parts.append(block)
    except OSError as error:
        raise ModelError(f"{file.parent.name}/{file.name} cannot be read: {error.strerror}.") from None
    return b"".join(parts)


def _axes(value: Any, name: str) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, (tuple, list)) or not all(type(n) is int and 0 <= n <= 2 for n in value):
        raise ManifestError(f"{name}: inference_allowed_mirroring_axes is {value!r:.60}, axes from 0 to 2 expected.")
    return tuple(sorted(set(value)))
