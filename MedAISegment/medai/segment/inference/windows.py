"""Where the windows of a sliding-window run lie, and how much each of their voxels counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..manifest import InferenceEntry

Placement = Literal["fixed", "even"]
Weights = npt.NDArray[np.float32]
Triple = tuple[int, int, int]

MONAI_FLOOR = 1e-3
"""Smallest weight that MONAI's ``compute_importance_map`` gives to a voxel."""
NNUNET_PEAK = 10.0
"""Largest weight in nnU-Net's ``compute_gaussian``, which rounds to float16 afterwards."""
TRUNCATE = 4.0
"""Standard deviations after which SciPy's Gaussian filter, of which nnU-Net makes its weights, is cut off."""


def axis_starts(length: int, size: int, overlap: float, placement: Placement) -> tuple[int, ...]:
    """Return where windows start along one axis of the image.

    Parameters
    ----------
    length, size : int
        Voxels of the image and of a window.
    overlap : float
        Share of a window that the next one covers again, in [0, 1).
    placement : {"fixed", "even"}
        fixed: steps of ``int(size * (1 - overlap))`` voxels, the last window moved back to end with the image (MONAI's
        ``dense_patch_slices``).  even: as few steps of at most that length as reach the end, all of the same length up
        to rounding (nnU-Net's ``compute_steps_for_sliding_window``; at an overlap near 1 two may start together, as
        there).  Windows of one voxel never overlap.

    Returns
    -------
    tuple of int
        In order; the last window ends with the image.  An image smaller than the window has one window, that starts at
        ``-((size - length) // 2)``: it is padded with zeros on both sides, by one more behind it if the number is odd
        (as MONAI and nnU-Net do).
    """
    if length <= size:
        return (-((size - length) // 2),)
    if size == 1:
        return tuple(range(length))
    if placement == "even":
        count = math.ceil((length - size) / (size * (1 - overlap))) + 1
        step = (length - size) / (count - 1)
        return tuple(int(np.round(step * n)) for n in range(count))
    interval = max(int(size * (1 - overlap)), 1)
    count = math.ceil((length - size) / interval) + 1
    return tuple(min(n * interval, length - size) for n in range(count))


def window_weights(window: Triple, entry: InferenceEntry) -> Weights:
    """Return how much each voxel of a window counts where windows overlap; shape KJI, all above 0.

    With ``blend`` gaussian and ``floor`` monai: MONAI's ``compute_importance_map``, the product over the axes of
    ``exp(-x^2 / (2 (sigma n)^2))`` with x from the window's middle, not below :data:`MONAI_FLOOR`.  With ``floor``
    nnunet: nnU-Net's ``compute_gaussian``, a unit impulse at voxel ``n // 2`` smoothed by SciPy's Gaussian (cut off
    after :data:`TRUNCATE` standard deviations), scaled to the peak :data:`NNUNET_PEAK`, rounded to float16 as nnU-Net
    computes with it; what is then 0 gets the smallest value that is not.
    """
    if entry.blend == "constant":
        return np.ones(window, dtype=np.float32)
    if entry.floor == "nnunet":
        k, j, i = (_impulse(n, entry.sigma) for n in window)
        exact = k[:, None, None] * j[:, None] * i
        weights = (exact / (exact.max() / NNUNET_PEAK)).astype(np.float16)
        weights[weights == 0] = weights[weights > 0].min()
        return np.asarray(weights, dtype=np.float32)
    a, b, c = (_bell(n, entry.sigma) for n in window)
    found = a[:, None, None] * b[:, None] * c
    return np.asarray(np.maximum(found, max(float(found.min()), MONAI_FLOOR)), dtype=np.float32)


def _bell(size: int, sigma: float) -> Weights:
    x = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    return np.asarray(np.exp(x**2 / np.float32(-2 * (sigma * size) ** 2)), dtype=np.float32)


def _impulse(size: int, sigma: float) -> npt.NDArray[np.float64]:
    sd = sigma * size
    radius = int(TRUNCATE * sd + 0.5)
    x = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 / (sd * sd) * x**2)
    kernel /= kernel.sum()
    result = np.zeros(size)
    for position in range(size):
        offset = position - size // 2 + radius
        if 0 <= offset < len(kernel):
            result[position] = kernel[offset]
    return result


@dataclass(frozen=True)
class Box:
    """Where a window covers the image, and which part of the window that is.

    Parameters
    ----------
    start : tuple of int
        Of the window, in voxels of the image (KJI); negative where the image is padded.
    low, high : tuple of int
        The part of the image that it covers.
    """

    start: Triple
    low: Triple
    high: Triple

    @property
    def image(self) -> tuple[slice, slice, slice]:
        """The covered part as slices of the image."""
        a, b = self.low, self.high
        return slice(a[0], b[0]), slice(a[1], b[1]), slice(a[2], b[2])

    @property
    def inside(self) -> tuple[slice, slice, slice]:
        """The covered part as slices of the window."""
        s, a, b = self.start, self.low, self.high
        return slice(a[0] - s[0], b[0] - s[0]), slice(a[1] - s[1], b[1] - s[1]), slice(a[2] - s[2], b[2] - s[2])


@dataclass(frozen=True)
class Layout:
    """All windows of an image: a row of windows for each start along axis 0.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the image along K, J, I.
    window : tuple of int
        Voxels of a window.
    overlap : float
    placement : {"fixed", "even"}
    """

    shape: Triple
    window: Triple
    overlap: float
    placement: Placement

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Starts along each axis."""
        k, j, i = (
            axis_starts(n, size, self.overlap, self.placement) for n, size in zip(self.shape, self.window, strict=True)
        )
        return k, j, i

    @property
    def rows(self) -> int:
        """How many rows of windows there are along axis 0."""
        return len(self.starts[0])

    @property
    def row_windows(self) -> int:
        """Windows in one row."""
        return len(self.starts[1]) * len(self.starts[2])

    def span(self, row: int) -> tuple[int, int]:
        """Return the slices of the image that a row covers."""
        start = self.starts[0][row]
        return max(start, 0), min(start + self.window[0], self.shape[0])

    def row(self, row: int) -> Iterator[tuple[Box, Triple]]:
        """Yield the windows of a row, axis 2 fastest, each with the first voxels that no earlier window reached."""
        k = self.starts[0][row]
        n, w = self.shape, self.window
        for at_j, j in enumerate(self.starts[1]):
            for at_i, i in enumerate(self.starts[2]):
                low = (max(k, 0), max(j, 0), max(i, 0))
                high = (min(k + w[0], n[0]), min(j + w[1], n[1]), min(i + w[2], n[2]))
                yield Box((k, j, i), low, high), (self._reached(0, row), self._reached(1, at_j), self._reached(2, at_i))

    def _reached(self, axis: int, number: int) -> int:
        """Where the window before the given one ends."""
        return min(self.starts[axis][number - 1] + self.window[axis], self.shape[axis]) if number else 0
