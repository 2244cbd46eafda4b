"""Which device, library and number format run a network."""

from __future__ import annotations

from dataclasses import dataclass

from medai.core.errors import DeviceError

from ..inference.options import InferenceOptions
from . import BACKENDS
from ._base import Backend
from ._hardware import devices

ORDER = {
    "cuda": ("torch", "onnxruntime"),
    "mps": ("torch",),
    "cpu": ("openvino", "torch", "onnxruntime"),
}
"""Libraries by device, the fastest first."""


@dataclass(frozen=True)
class Choice:
    """What runs a network.

    Parameters
    ----------
    device, backend, precision : str
        Names as in :class:`~medai.segment.inference.options.InferenceOptions`, never ``auto``.
    second : Choice, optional
        What to take if ``backend`` cannot run this network; None where the user named the backend.
    """

    device: str
    backend: str
    precision: str
    second: Choice | None = None


def choose(options: InferenceOptions, kind: str, reduced: bool, *, dropout: bool = False) -> Choice:
    """Return where a network of this kind runs.

    The device is the first of CUDA, Apple GPU, CPU; on the CPU OpenVINO comes before torch; the precision is f16 on
    CUDA and bf16 on a CPU that has instructions for it (through OpenVINO), if the model allows half precision, else
    f32.  What the user names is taken or refused, never replaced.

    Parameters
    ----------
    options : InferenceOptions
    kind : {"torch", "torchscript", "onnx"}
    reduced : bool
        The model allows half precision.
    dropout : bool
        Random dropout, which only torch can do.

    Raises
    ------
    DeviceError
        If the device, backend or precision that was asked for is not here; with the reason.
    """
    here = devices()
    names = [name for name in ORDER if not here[name]] if options.device == "auto" else [options.device]
    reasons = []
    for device in names:
        found = []
        for backend in ORDER[device] if options.backend == "auto" else (options.backend,):
            reason = _reason(backend, device, kind, dropout)
            if not reason:
                precision, reason = _precision(BACKENDS.get(backend), device, options.precision, reduced)
            if reason:
                reasons.append(f"{backend} on {device}: {reason}")
            else:
                found.append(Choice(device, backend, precision))
        if found:
            second = found[1] if len(found) > 1 else None
            return Choice(found[0].device, found[0].backend, found[0].precision, second)
    wish = f"device {options.device!r}, backend {options.backend!r} and precision {options.precision!r}"
    raise DeviceError(
        f"This network cannot run with {wish}: {'; '.join(dict.fromkeys(reasons))}.",
        hint="Use 'auto' where no special choice is needed.",
    )


def _reason(backend: str, device: str, kind: str, dropout: bool) -> str:
    """Return why a backend cannot run this kind of network on a device; empty if it can."""
    cls = next((c for c in BACKENDS.classes() if c.name == backend), None)
    if cls is None:
        return "it is not part of this version"
    if cls.unavailable_reason():
        return cls.unavailable_reason()
    if kind not in cls.kinds:
        return f"it does not run networks of the kind {kind!r}"
    if dropout and backend != "torch":
        return "it has no random dropout"
    if device not in cls.devices():
        return devices().get(device, "") or f"it does not use the device {device!r}"
    return ""


def _precision(backend: type[Backend], device: str, wanted: str, reduced: bool) -> tuple[str, str]:
    """Return the precision, and why it is not possible or an empty text."""
    if wanted != "auto":
        return wanted, backend.precision_reason(device, wanted)
    half = backend.auto_half(device) if reduced else ""
    return (half if half and not backend.precision_reason(device, half) else "f32"), ""
