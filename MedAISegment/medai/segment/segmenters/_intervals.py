"""Label voxels by the interval of values they lie in: what thresholds and clusters of a histogram come down to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn

from ..slabs import for_slabs

SLAB_VOXELS = 1 << 20
"""Voxels a call: the boolean array of each comparison stays in the processor's cache."""

Array = npt.NDArray[Any]


def label_intervals(
    array: Array,
    starts: Sequence[float | int],
    labels: Sequence[int],
    *,
    inside: npt.NDArray[np.bool_] | None = None,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> npt.NDArray[np.uint8]:
    """Return ``labels[n]`` where ``starts[n - 1] <= value < starts[n]``.

    Parameters
    ----------
    array : array, shape (K, J, I)
        Never changed.
    starts : sequence of numbers
        Rising; the first value of the second, third, ... interval.  Real numbers are rounded to the array's own type,
        for whole-number types upwards.
    labels : sequence of int
        One more than ``starts``, 0 to 255.
    inside : array of bool, shape (K, J, I), optional
        Voxels outside get 0.

    Returns
    -------
    array of uint8, shape (K, J, I)
        0 where the value is NaN or infinite.
    """
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    steps: list[tuple[Any, int]] = []
    current = int(labels[0])
    for start, label in zip(starts, labels[1:], strict=True):
        place = _in_type(start, array.dtype)
        if place == -math.inf:
            current = int(label)
            steps.clear()
        elif place != math.inf:
            before = current if not steps else steps[-1][1]
            if label != before:
                steps.append((place, int(label)))
    is_float = array.dtype.kind == "f"
    result = np.empty(array.shape, dtype=np.uint8)

    def part(start: int, stop: int) -> None:
        values, out = array[start:stop], result[start:stop]
        out[...] = current
        before = current
        for place, label in steps:
            # Unsigned numbers wrap round, so that a step down adds what brings it there.
            change = np.uint8((label - before) % 256)
            above = (values >= place).view(np.uint8)
            out += above if change == 1 else above * change
            before = label
        if is_float:
            out *= np.isfinite(values)
        if inside is not None:
            out *= inside[start:stop]

    slab = max(1, SLAB_VOXELS // max(1, array[0].size))
    for_slabs(len(array), part, slab=slab, progress=progress, cancel=cancel, message=message)
    return result


def after(value: float, dtype: np.dtype[Any]) -> float | int:
    """Return the next larger number of a type: where an interval that includes ``value`` has its end."""
    if dtype.kind != "f":
        return math.floor(value) + 1
    limit = float(np.finfo(dtype).max)
    if abs(value) > limit:
        return math.copysign(math.inf, value)
    with np.errstate(over="ignore"):  # the next number after the largest is infinity, as it should be
        return float(np.nextafter(dtype.type(value), dtype.type(math.inf)))


def _in_type(value: float | int, dtype: np.dtype[Any]) -> Any:
    """Return a value as a scalar of the array's type, or -inf or inf if all or none of its numbers reach it."""
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        return math.copysign(math.inf, value) if abs(value) > limit else dtype.type(value)
    info = np.iinfo(dtype)
    if value <= info.min:
        return -math.inf
    if value > info.max:
        return math.inf
    return dtype.type(math.ceil(value))
