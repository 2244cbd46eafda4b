"""What is tried when memory is short: one window at a time, smaller windows, the CPU; then a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medai.core.errors import DeviceError, OutOfMemory
from medai.core.qc import QCFlag, Severity

from ..manifest import Manifest
from .options import InferenceOptions
from .ring import Ring
from .strides import smaller_window, window_factor
from .windows import Triple

GIB = 2**30


@dataclass(frozen=True)
class Attempt:
    """A way to run a model.

    Parameters
    ----------
    manifest : Manifest
        The model's own, or with a smaller window.
    options : InferenceOptions
        The user's, or with batch 1 and another device.
    flag : QCFlag, optional
        ``DEVICE_FALLBACK``: in which windows and on which device the model runs instead; None for the first attempt.
    """

    manifest: Manifest
    options: InferenceOptions
    flag: QCFlag | None = None


def attempts(manifest: Manifest, options: InferenceOptions, shape: Triple | None = None) -> Iterator[Attempt]:
    """Yield ways to run a model, each to be tried if the one before raised :class:`OutOfMemory`.

    First as asked.  Then, after the memory of all other networks was given back, one window at a time; with the longest
    axis of the window halved again and again, as far as the network's strides allow; the same on the CPU, from the
    whole window on.  Smaller windows see less around each voxel, so the result may differ: each step is stated.

    Parameters
    ----------
    shape : tuple of int, optional
        Voxels of the prepared image along K, J, I; with it the refusal says how much memory the smallest windows take.

    Raises
    ------
    OutOfMemory
        When nothing is left to try, with what was tried.
    """
    from ..backends import warm

    yield Attempt(manifest, options)
    device = _device(manifest, options)
    tried = [f"windows of {_text(manifest.window)} on {device}"]
    smallest = manifest.window
    for place in dict.fromkeys((device, "cpu")):
        window: Triple | None = manifest.window
        while window is not None:
            warm.release()
            changed = manifest.model_copy(update={"window": window})
            yield Attempt(changed, _on(options, place, device), _flag(manifest.window, device, window, place))
            tried.append(f"windows of {_text(window)}, one at a time, on {place}")
            smallest = window
            factor = window_factor(manifest)
            window = None if factor is None else smaller_window(window, factor)
    text = f"The model {manifest.id!r} does not fit into memory; tried: {'; '.join(tried)}."
    if shape is not None:
        needed = Ring.bytes_for(manifest.classes, smallest[0], shape) + 4 * manifest.classes * _voxels(smallest)
        text = text[:-1] + f". The scores of its {manifest.classes} classes alone take {needed / GIB:.2g} GiB then."
    raise OutOfMemory(text, hint="Close other programs, segment a smaller region, or use a computer with more memory.")


def _device(manifest: Manifest, options: InferenceOptions) -> str:
    """Name of the device on which the first attempt ran."""
    from ..backends import warm

    if options.device != "auto":
        return options.device
    for kind in ("torch", "torchscript", "onnx"):
        try:
            return warm.choose(options, kind, manifest.inference.reduced_precision).device
        except DeviceError:
            continue
    return "cpu"


def _on(options: InferenceOptions, place: str, device: str) -> InferenceOptions:
    changes: dict[str, object] = {"batch": 1}
    if place != device:
        # A number format that was chosen for the GPU may not exist on the CPU.
        changes.update(device="cpu", precision="f32" if options.precision == "f32" else "auto")
    return options.model_copy(update=changes)


def _flag(window: Triple, device: str, now: Triple, place: str) -> QCFlag:
    return QCFlag(
        "DEVICE_FALLBACK",
        Severity.WARNING if now != window else Severity.INFO,
        f"Memory was short for windows of {_text(window)} on {device}; the model was run again, one window of "
        f"{_text(now)} at a time, on {place}.",
        f"{_text(now)} on {place}",
        f"{_text(window)} on {device}",
    )


def _text(window: Triple) -> str:
    return " x ".join(map(str, window))


def _voxels(window: Triple) -> int:
    return window[0] * window[1] * window[2]
