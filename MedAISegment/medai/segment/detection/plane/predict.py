"""Running the network over slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from medai.core.errors import DeviceError, OutOfMemory
from medai.core.progress import CancelToken, ProgressFn

from .instances import Instance, Raw, instances_of
from .samples import channels_first
from .settings import MaskRcnnSettings

if TYPE_CHECKING:
    import torch


def chosen_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda`` for what was asked for; nothing takes CUDA where there is one.

    Raises
    ------
    DeviceError
        If CUDA is asked for and there is none.
    """
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise DeviceError("CUDA was asked for, and PyTorch finds no CUDA device.", hint="Choose the CPU.")
    return "cuda" if there and wanted != "cpu" else "cpu"


def slice_instances(
    network: torch.nn.Module,
    values: npt.NDArray[np.float32],
    settings: MaskRcnnSettings,
    *,
    device: str = "cpu",
    progress: ProgressFn,
    cancel: CancelToken,
) -> list[list[Instance]]:
    """Return the instances of each slice, best first.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    values : array, shape (slices, rows, columns) or (slices, rows, columns, 3), float32
        From 0 to 1.

    Raises
    ------
    OutOfMemory
        If the device has too little memory for the slices that are looked at together.
    """
    found: list[list[Instance]] = []
    hooks = [m.register_forward_pre_hook(lambda _module, _inputs: cancel.check()) for m in network.modules()]
    try:
        network.to(device)
        for first in range(0, len(values), settings.batch):
            cancel.check()
            for raw in raw_instances(network, values[first : first + settings.batch], device):
                found.append(
                    instances_of(
                        raw, score=settings.shown, mask=settings.mask, smallest=settings.smallest_pixels,
                        most=settings.most,
                    )
                )  # fmt: skip
            progress(len(found) / len(values), f"slice {len(found)} of {len(values)}")
    finally:
        for hook in hooks:
            hook.remove()
    return found


def raw_instances(network: torch.nn.Module, values: npt.NDArray[np.float32], device: str) -> Iterator[Raw]:
    """Yield what the network gives for each slice."""
    import torch

    images = [torch.from_numpy(channels_first(plane)).to(device) for plane in values]
    try:
        with torch.inference_mode():
            outputs = network(images)
    except torch.OutOfMemoryError:
        raise OutOfMemory(
            f"The device has too little memory for {len(images)} slices at once.", hint="Lower batch, or use the CPU."
        ) from None
    for output in outputs:
        boxes, scores, classes, masks = (output[key].cpu().numpy() for key in ("boxes", "scores", "labels", "masks"))
        yield Raw(boxes, scores, classes, masks[:, 0])
