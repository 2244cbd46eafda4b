"""Boxes from one grid to another whose axes are parallel, in edge coordinates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from medai.core.geometry import FloatArray, Geometry


def boxes_between(boxes: npt.ArrayLike, source: Geometry, target: Geometry) -> FloatArray:
    """Move boxes (N, 6), corners along I, J, K, to another grid.

    Exact if the axes are parallel, whatever their order and direction; otherwise the box that two opposite corners
    span.
    """
    given = np.asarray(boxes, dtype=np.float64).reshape(-1, 6)
    one = target.to_ijk(source.to_ras(given[:, :3] - 0.5)) + 0.5
    other = target.to_ijk(source.to_ras(given[:, 3:] - 0.5)) + 0.5
    return np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1)


def kji(boxes: FloatArray) -> FloatArray:
    """Turn boxes along I, J, K into boxes along K, J, I, the order of an array's axes, or back."""
    return boxes[:, [2, 1, 0, 5, 4, 3]]


def flipped(boxes: FloatArray, axes: Iterable[int], shape: tuple[int, ...]) -> FloatArray:
    """Return boxes along an array's axes after the array was flipped along some of them."""
    result = boxes.copy()
    for axis in axes:
        result[:, axis], result[:, axis + 3] = shape[axis] - boxes[:, axis + 3], shape[axis] - boxes[:, axis]
    return result


def clipped(
    boxes: FloatArray, shape: tuple[int, ...], visible: float = 0.5
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Cut boxes at an array's borders, and tell of which at least a share ``visible`` of the volume is left."""
    size = np.asarray(shape, dtype=np.float64)
    low, high = np.clip(boxes[:, :3], 0, size), np.clip(boxes[:, 3:], 0, size)
    left = np.prod(high - low, axis=1)
    whole = np.prod(boxes[:, 3:] - boxes[:, :3], axis=1)
    kept = left >= visible * whole
    return np.concatenate([low, high], axis=1)[kept], kept
