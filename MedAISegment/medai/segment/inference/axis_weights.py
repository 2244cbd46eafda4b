"""Sampling along one axis as small dense matrices: a band of voxels times weights, at the speed of a matrix product.

A cubic spline's samples depend on about 28 voxels each, so 64 neighbouring samples share nearly all theirs.  A dense
product over such a block does some three times the multiplications of a sparse one and is still several times faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
Kind = Literal["same", "nearest", "linear", "cubic"]
BLOCK = 64
"""Samples that share a matrix."""
REACH = 12
"""Voxels after which a cubic spline's inverse filter is cut off; it has fallen to 2e-7 (SciPy pads by 12 as well)."""


@dataclass(frozen=True)
class Axis:
    """Where samples lie along an axis of ``size`` voxels: at ``first + n * step``, in voxels.

    Parameters
    ----------
    size, count : int
        Voxels along the axis, samples wanted.
    first, step : float
        Position of the first sample, and the distance between samples.
    kind : {"same", "nearest", "linear", "cubic"}
        ``same``: the samples are voxels of the axis, from ``first`` on.  Border voxels are repeated outside.
    centred : tuple of int, optional
        (size, count) of half-pixel mapping: positions are computed as (n + 0.5) * size / count - 0.5, in the order of
        operations of SciPy, so that ties of ``nearest`` fall as there.  ``first`` and ``step`` agree up to rounding.
    offset : int
        First sample, in samples of ``centred``.
    """

    size: int
    count: int
    first: float
    step: float
    kind: Kind
    centred: tuple[int, int] | None = None
    offset: int = 0

    @cached_property
    def positions(self) -> npt.NDArray[np.float64]:
        """Positions of the samples in voxels, shape (count,)."""
        if self.centred is not None:
            size, count = self.centred
            numbers = np.arange(self.offset, self.offset + self.count, dtype=np.float64)
            return np.asarray(float(size) / count * (numbers + 0.5) - 0.5)
        return np.asarray(self.first + self.step * np.arange(self.count, dtype=np.float64))

    @cached_property
    def nearest(self) -> npt.NDArray[np.intp]:
        """Voxel nearest to each sample; halves are rounded up, as SciPy does at order 0."""
        return np.clip(np.floor(self.positions + 0.5), 0, self.size - 1).astype(np.intp)

    def part(self, start: int, stop: int) -> Axis:
        """Return samples ``start`` to ``stop``."""
        first = self.first + self.step * start
        return Axis(self.size, stop - start, first, self.step, self.kind, self.centred, self.offset + start)

    def as_kind(self, kind: Kind) -> Axis:
        """Return the same positions sampled in another way; ``same`` stays ``same``."""
        new = self.kind if self.kind == "same" else kind
        return Axis(self.size, self.count, self.first, self.step, new, self.centred, self.offset)


@dataclass(frozen=True, eq=False)
class Block:
    """Samples ``start`` to ``stop`` are ``weights`` (samples, voxels) times the voxels ``low`` to ``high``."""

    start: int
    stop: int
    low: int
    high: int
    weights: FloatImage


class Sampler:
    """Samples arrays along one axis.

    Parameters
    ----------
    axis : Axis
        Where and how.

    Attributes
    ----------
    low, high : int
        The voxels that the samples are made of.  The methods take arrays that hold these voxels only.
    """

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        self.count = axis.count
        self.blocks: tuple[Block, ...] = ()
        self.index: npt.NDArray[np.intp] | None = None
        if axis.kind == "same":
            self.low = round(axis.first)
            self.high = self.low + axis.count
        elif axis.kind == "nearest":
            self.low, self.high = int(axis.nearest.min()), int(axis.nearest.max()) + 1
            self.index = axis.nearest - self.low
        else:
            blocks = _blocks(axis)
            self.low, self.high = min(b.low for b in blocks), max(b.high for b in blocks)
            self.blocks = tuple(Block(b.start, b.stop, b.low - self.low, b.high - self.low, b.weights) for b in blocks)

    @property
    def size(self) -> int:
        """Voxels that arrays must have along the axis."""
        return self.high - self.low

    def along_last(self, array: FloatImage) -> FloatImage:
        """Sample the last axis of an array (n, J, I)."""
        if self.axis.kind == "same":
            return array
        if self.index is not None:
            return np.take(array, self.index, axis=2)
        n, rows, _ = array.shape
        flat = array.reshape(n * rows, -1)
        result = np.empty((n * rows, self.count), dtype=np.float32)
        for block in self.blocks:
            np.matmul(flat[:, block.low : block.high], block.weights.T, out=result[:, block.start : block.stop])
        return result.reshape(n, rows, self.count)

    def along_middle(self, array: FloatImage) -> FloatImage:
        """Sample the middle axis of an array (n, J, I)."""
        if self.axis.kind == "same":
            return array
        if self.index is not None:
            return np.take(array, self.index, axis=1)
        result = np.empty((len(array), self.count, array.shape[2]), dtype=np.float32)
        for block in self.blocks:
            np.matmul(block.weights, array[:, block.low : block.high], out=result[:, block.start : block.stop])
        return result


def _blocks(axis: Axis) -> list[Block]:
    index, weights = _linear(axis) if axis.kind == "linear" else _cubic(axis)
    result = []
    for start in range(0, axis.count, BLOCK):
        some = slice(start, min(start + BLOCK, axis.count))
        low, high = int(index[some].min()), int(index[some].max()) + 1
        matrix = np.zeros((some.stop - start, high - low))
        rows = np.arange(some.stop - start)[:, None]
        np.add.at(matrix, (rows, index[some] - low), weights[some])
        result.append(Block(start, some.stop, low, high, matrix.astype(np.float32)))
    return result


def _linear(axis: Axis) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
    where = np.clip(axis.positions, 0, axis.size - 1)
    low = np.minimum(np.floor(where), max(axis.size - 2, 0)).astype(np.intp)
    share = where - low
    index = np.stack([low, np.minimum(low + 1, axis.size - 1)], axis=1)
    return index, np.stack([1 - share, share], axis=1)


def _cubic(axis: Axis) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
    """Weights of the interpolating cubic B-spline of an image whose border voxels are repeated without end.

    The four values of the basis around a sample, each spread by the inverse filter's response to a single voxel,
    sqrt(3) z^|n| with z = sqrt(3) - 2 (Unser, IEEE Signal Processing Magazine 16, 22 (1999), eq. 12).
    """
    where = axis.positions
    base = np.floor(where).astype(np.intp)
    share = (where - base)[:, None]
    distance = np.abs(share - np.arange(-1, 3))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - np.minimum(distance, 2.0)) ** 3 / 6
    basis = np.where(distance < 1, near, far)
    steps = np.arange(-REACH, REACH + 1)
    response = np.sqrt(3.0) * (np.sqrt(3.0) - 2.0) ** np.abs(steps)
    response /= response.sum()
    weights = np.zeros((len(where), len(steps) + 3))
    for number in range(4):
        weights[:, number : number + len(steps)] += basis[:, number, None] * response
    index = base[:, None] + np.arange(-1 - REACH, 3 + REACH)
    return np.clip(index, 0, axis.size - 1), weights
