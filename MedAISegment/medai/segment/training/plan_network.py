"""Levels of a U-Net for images of a given size and spacing, and the memory that training it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..manifest import NetworkEntry

SMALLEST = 4
"""Voxels that an axis keeps at the coarsest level (nnU-Net)."""
MOST_LEVELS = 6
FEWEST_LEVELS = 3
MIB = 2**20
FIXED_MIB = 500.0
"""Libraries, and the context of a GPU."""
SAVED = 10.4
"""Numbers kept for the backward pass for each voxel and feature, all levels; measured with the loop of this package."""
PASSING = 4.0
"""Numbers for each voxel and feature of the finest level that live during the backward pass only."""
CLASS_BYTES = 10.0
"""Bytes for each voxel and class: scores and their logarithms, for all supervised levels."""
WEIGHT_BYTES = 20
"""Weight, gradient, AdamW's two moments, averaged weight."""
SPARE = 1.1

Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """Levels of a U-Net, finest first.

    Parameters
    ----------
    strides, kernels : tuple of (K, J, I)
        For each level: how much coarser than the one before it, and the convolutions' size.
    """

    strides: tuple[Sizes, ...]
    kernels: tuple[Sizes, ...]

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.strides)

    @property
    def step(self) -> Sizes:
        """What patch sizes along K, J, I must be multiples of."""
        k, j, i = (math.prod(stride[axis] for stride in self.strides) for axis in range(3))
        return k, j, i

    @property
    def uniform(self) -> bool:
        """Whether every level halves every axis with cubic convolutions, as the usual U-Net does."""
        return all(s == (2, 2, 2) for s in self.strides[1:]) and all(k == (3, 3, 3) for k in self.kernels)

    def around(self, size: Sequence[float]) -> Sizes:
        """Return a size rounded up to multiples of the step."""
        k, j, i = (math.ceil(n / step) * step for n, step in zip(size, self.step, strict=True))
        return k, j, i

    def filters(self, first: int, most: int) -> tuple[int, ...]:
        """Return features per level: doubled from level to level, up to a limit."""
        return tuple(min(most, first * 2**level) for level in range(self.levels))

    def entry(self, filters: Sequence[int]) -> NetworkEntry:
        """Return MONAI's DynUNet in this layout."""
        return NetworkEntry(
            name="dynunet",
            settings={
                "kernel_size": [list(kernel) for kernel in self.kernels],
                "strides": [list(stride) for stride in self.strides],
                "upsample_kernel_size": [list(stride) for stride in self.strides[1:]],
                "filters": list(filters),
            },
        )


def layout_of(size: Sequence[float], spacing: Sequence[float]) -> Layout:
    """Return the levels for patches of a size.

    Where the spacing is alike (within a factor of 2), every level halves every axis, as long as the shortest axis keeps
    4 voxels.  Otherwise, and where an axis is too short for that, nnU-Net's rule holds (Isensee et al., Nature Methods
    18, 203, 2021): a level halves the axes that have the voxels for it and whose spacing is within a factor of 2 of the
    finest among them; convolutions do not reach along an axis until its spacing is within a factor of 2 of the finest.

    Parameters
    ----------
    size : sequence of float
        Voxels along K, J, I.
    spacing : sequence of float
        mm along K, J, I.
    """
    halvings = min(_halvings(n) for n in size)
    if max(spacing) < 2 * min(spacing) and halvings >= FEWEST_LEVELS - 1:
        levels = min(halvings + 1, MOST_LEVELS)
        return Layout(((1, 1, 1), *[(2, 2, 2)] * (levels - 1)), ((3, 3, 3),) * levels)
    return _by_axis(size, spacing)


def training_mib(
    layout: Layout, filters: Sequence[int], patch: Sequence[int], batch: int, channels: int, classes: int, half: bool
) -> float:
    """Estimate the memory that a training step takes at its peak, in MiB.

    Parameters
    ----------
    patch : sequence of int
        Voxels along K, J, I.
    classes : int
        With background.
    half : bool
        Products are computed in 16 bits.
    """
    voxels = float(batch * math.prod(patch))
    size = 2 if half else 4
    features, here = 0.0, voxels
    for stride, count in zip(layout.strides, filters, strict=True):
        here /= math.prod(stride)
        features += count * here
    activations = size * (SAVED * features + PASSING * filters[0] * voxels)
    images = voxels * (4 * channels + 8 + CLASS_BYTES * classes)
    weights = WEIGHT_BYTES * weight_count(layout, filters, channels, classes)
    return FIXED_MIB + SPARE * (activations + images + weights) / MIB


def weight_count(layout: Layout, filters: Sequence[int], channels: int, classes: int) -> int:
    """Return about how many weights the network has (norms and biases left out)."""
    total, before = 0, channels
    for level, (kernel, count) in enumerate(zip(layout.kernels, filters, strict=True)):
        volume = math.prod(kernel)
        total += volume * (before * count + count * count)
        if level + 1 < layout.levels:
            up = math.prod(layout.strides[level + 1])
            # MONAI's decoder takes the next level's convolutions.
            total += up * filters[level + 1] * count + math.prod(layout.kernels[level + 1]) * 3 * count * count
        before = count
    return total + filters[0] * classes


def _halvings(size: float) -> int:
    count, left = 0, math.ceil(size)
    while left >= 2 * SMALLEST:
        count, left = count + 1, math.ceil(left / 2)
    return count


def _by_axis(size: Sequence[float], spacing: Sequence[float]) -> Layout:
    left, distance = [math.ceil(n) for n in size], list(spacing)
    strides, kernels = [(1, 1, 1)], [_kernel(distance, (1, 1, 1))]
    while len(strides) < MOST_LEVELS:
        able = [axis for axis in range(3) if left[axis] >= 2 * SMALLEST]
        able = [axis for axis in able if distance[axis] < 2 * min(distance[other] for other in able)]
        if not able or (len(able) == 1 and left[able[0]] < 3 * SMALLEST):
            break
        for axis in able:
            left[axis], distance[axis] = math.ceil(left[axis] / 2), distance[axis] * 2
        strides.append(_triple(2 if axis in able else 1 for axis in range(3)))
        kernels.append(_kernel(distance, kernels[-1]))
    while len(strides) < FEWEST_LEVELS:
        # Patches too small to halve: levels that see further, at the same voxels.
        strides.append((1, 1, 1))
        kernels.append((3, 3, 3))
    return Layout(tuple(strides), tuple(kernels))


def _kernel(distance: Sequence[float], before: Sizes) -> Sizes:
    return _triple(3 if was == 3 or mm < 2 * min(distance) else 1 for was, mm in zip(before, distance, strict=True))


def _triple(values: Iterable[int]) -> Sizes:
    k, j, i = values
    return k, j, i
