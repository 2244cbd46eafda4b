"""One box through one network: Gaussian-weighted sliding windows by MONAI, mirrored where the side asks for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.core.errors import OutOfMemory
from medai.core.progress import CancelToken, ProgressFn

from .prepare import FloatImage

if TYPE_CHECKING:
    import torch

OVERLAP = 0.5


def predict(
    network: torch.nn.Module,
    image: FloatImage,
    window: tuple[int, int, int],
    *,
    mirror_axis: int | None,
    device: str,
    progress: ProgressFn,
    cancel: CancelToken,
) -> FloatImage:
    """Return class probabilities.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode; takes (batch, 1, K, J, I), gives (batch, classes, K, J, I).
    image : array of float32, shape (K, J, I)
        Normalised; padded with 0 up to the window.
    window : tuple of int
        Window in voxels along K, J, I.
    mirror_axis : int, optional
        Axis of ``image`` to flip before the network; the result is flipped back.
    device : str
        ``cpu``, ``cuda``, ``mps``.

    Returns
    -------
    array of float32, shape (classes, K, J, I)
        Soft-max probabilities.

    Raises
    ------
    OutOfMemory
        If the device has too little memory.
    """
    import torch
    from monai.inferers.utils import sliding_window_inference

    total = _windows(image.shape, window)
    done = 0

    def run(part: torch.Tensor) -> Any:
        nonlocal done
        cancel.check()
        result = network(part)
        done += 1
        progress(min(done / total, 1.0), f"window {done} of {total}")
        return result

    values = np.ascontiguousarray(image if mirror_axis is None else np.flip(image, mirror_axis))
    try:
        with torch.inference_mode():
            network.to(device)
            tensor = torch.from_numpy(values)[None, None].to(device)
            logits = sliding_window_inference(
                tensor, window, 1, run, overlap=OVERLAP, mode="gaussian", padding_mode="constant", cval=0.0
            )
            scores = torch.softmax(logits[0].float(), dim=0).cpu().numpy()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
            raise OutOfMemory(
                f"The device {device!r} has too little memory for windows of {window} voxels.",
                hint="Close other programs, or segment a smaller region.",
            ) from None
        raise
    return np.ascontiguousarray(scores if mirror_axis is None else np.flip(scores, mirror_axis + 1))


def _windows(shape: tuple[int, ...], window: tuple[int, int, int]) -> int:
    counts = []
    for length, size in zip(shape, window, strict=True):
        step = max(1, int(size * (1 - OVERLAP)))
        counts.append(1 if length <= size else math.ceil((length - size) / step) + 1)
    return math.prod(counts)


def choose_device(wanted: str) -> str:
    """Return the device to use: ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises
    ------
    DeviceError
        If a device was asked for by name that is not here.
    """
    import torch

    from medai.core.errors import DeviceError

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available.get(wanted, False):
        raise DeviceError(f"The device {wanted!r} is not available here.", hint="Use 'auto' or 'cpu'.")
    return wanted
