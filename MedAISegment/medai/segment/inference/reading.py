"""What the network reads: windows cut out of the prepared image, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .passes import Flip
from .windows import Box, Triple

if TYPE_CHECKING:
    import torch

GPU_VOXELS, CPU_VOXELS = 2**21, 2**18
"""Voxels that a batch holds about, if the user does not say how many windows: 128^3 keeps a GPU busy."""
MAX_BATCH = 16


def default_batch(device: str, window: Triple) -> int:
    """Return how many windows go through the network at a time."""
    voxels = window[0] * window[1] * window[2]
    return max(1, min(MAX_BATCH, (CPU_VOXELS if device == "cpu" else GPU_VOXELS) // voxels))


class Reader:
    """Cuts windows out of an image.

    Parameters
    ----------
    array : array of float32, shape (C, K, J, I)
    window : tuple of int
    dims : {2, 3}
        2: batches have no axis K.
    context : int
        Slices on each side that become channels: all channels of slice k - context, then of the next slice, and so on;
        the image's first and last slice stand for those beyond it.
    """

    def __init__(self, array: npt.NDArray[np.float32], window: Triple, dims: int, context: int) -> None:
        import torch

        self._array = array
        self._tensor = torch.from_numpy(array)
        self.window, self.dims, self.context = window, dims, context
        self.channels = array.shape[0] * (2 * context + 1)

    def shape(self, batch: int) -> tuple[int, ...]:
        """Return the shape of a batch."""
        return (batch, self.channels, *self.window[3 - self.dims :])

    def batch(self, boxes: Sequence[Box], device: str) -> torch.Tensor:
        """Return windows, zero where they lie outside the image, on a device."""
        import torch

        on_gpu = device.startswith("cuda")
        found = torch.empty((len(boxes), self.channels, *self.window), dtype=torch.float32, pin_memory=on_gpu)
        for part, box in zip(found, boxes, strict=True):
            source = self._with_context(box.low[0]) if self.context else self._tensor[:, box.image[0]]
            if self._padded(box):
                part.zero_()
            part[(slice(None), *box.inside)] = source[(slice(None), slice(None), *box.image[1:])]
        if self.dims == 2:
            found = found[:, :, 0]
        return found.to(device, non_blocking=on_gpu)

    def _with_context(self, k: int) -> torch.Tensor:
        last = self._tensor.shape[1] - 1
        slices = [min(max(k + offset, 0), last) for offset in range(-self.context, self.context + 1)]
        near = self._tensor[:, slices]
        return near.transpose(0, 1).reshape(self.channels, 1, *near.shape[2:])

    def _padded(self, box: Box) -> bool:
        return tuple(b - a for a, b in zip(box.low, box.high, strict=True)) != self.window

    def constant(self, box: Box) -> tuple[float, ...] | None:
        """Return a window's value in each channel if it sees only that one in each, padding included, else None."""
        part = self._array[(slice(None), *box.image)]
        values = part[:, 0, 0, 0]
        sparse = part[:, ::8, ::8, ::8]
        if self.context or not (sparse == values[:, None, None, None]).all():
            return None
        if self._padded(box) and values.any():
            return None
        return tuple(map(float, values)) if (part == values[:, None, None, None]).all() else None


def flipped(batch: torch.Tensor, flip: Flip, dims: int) -> torch.Tensor:
    """Return a batch mirrored along axes of the window (K, J, I = 0, 1, 2)."""
    import torch

    return torch.flip(batch, [axis + 2 - (3 - dims) for axis in flip]) if flip else batch


def windows_of(scores: torch.Tensor, dims: int) -> Any:
    """Return a network's output as (B, classes, K, J, I)."""
    return scores[:, :, None] if dims == 2 else scores
