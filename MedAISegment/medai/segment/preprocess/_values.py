"""New values computed from old ones, voxel by voxel: through a table where that is possible, else slab by slab."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.qc import QCFlag, Severity

from ..histogram import value_range
from ..slabs import for_slabs

Array = npt.NDArray[Any]
Reals = npt.NDArray[np.float64]
SLAB_VOXELS = 1 << 20


def kept_type(array: Array) -> np.dtype[Any]:
    """Return the type of a result that keeps its voxels' type.

    In this machine's byte order; truth values become uint8, and float16, which holds no CT, becomes float32.
    """
    if array.dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if array.dtype == np.float16 else array.dtype.newbyteorder("=")


def real_type(array: Array) -> np.dtype[Any]:
    """Return float64 for float64 and float32 for everything else."""
    return np.dtype(np.float64 if array.dtype.kind == "f" and array.dtype.itemsize == 8 else np.float32)


def map_values(
    array: Array,
    function: Callable[[Reals], Reals],
    dtype: npt.DTypeLike,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
    keep: npt.NDArray[np.bool_] | None = None,
) -> Array:
    """Return ``function`` of every voxel, computed in float64 and stored as ``dtype``.

    Whole numbers of 8 and 16 bits go through a table of all their values, so that the function is called 65,536 times
    at most.  Results are rounded and clipped to a whole-number ``dtype``; nothing wraps.

    Parameters
    ----------
    array : array, shape (K, J, I)
        Never changed.
    function : callable
        Takes and returns an array of float64; NaN must come back as NaN.  Warnings of NumPy are switched off in it.
    dtype : type
        The result's type; a whole-number type only for whole numbers, which have no NaN.
    keep : array of bool, shape (K, J, I), optional
        Voxels that keep their old value.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    kind = np.dtype(dtype)
    # Flat, so that one large slice is shared among the cores too.
    whole = array.flags.c_contiguous
    source = array.reshape(-1) if whole else array
    kept = None if keep is None else (np.ascontiguousarray(keep).reshape(-1) if whole else keep)
    if source.dtype.kind == "b":
        source = source.view(np.uint8)
    native = source.dtype.newbyteorder("=")
    result = np.empty(source.shape, dtype=kind)
    narrow = native.kind in "iu" and native.itemsize <= 2
    if narrow:
        unsigned = np.dtype(f"u{native.itemsize}")
        table = _stored(function, np.arange(1 << 8 * native.itemsize, dtype=unsigned).view(native), kind)

    def part(start: int, stop: int) -> None:
        values, out = source[start:stop], result[start:stop]
        if narrow:
            codes = np.ascontiguousarray(values, dtype=native).view(unsigned)
            np.take(table, codes, out=out, mode="clip")  # every code is valid; "clip" spares a copy
        else:
            out[...] = _stored(function, values, kind)
        if kept is not None:
            np.copyto(out, values, where=kept[start:stop], casting="unsafe")

    slab = max(1, SLAB_VOXELS // max(1, source[0].size))
    for_slabs(len(source), part, slab=slab, progress=progress, cancel=cancel, message=message)
    return result.reshape(array.shape)


def _stored(function: Callable[[Reals], Reals], values: Array, kind: np.dtype[Any]) -> Array:
    with np.errstate(all="ignore"):
        found = function(values.astype(np.float64))
        if kind.kind in "iu":
            info = np.iinfo(kind)
            highest = float(info.max)
            if int(highest) > info.max:  # 2^63 - 1 is no float64
                highest = float(np.nextafter(highest, 0))
            found = np.clip(np.rint(found), float(info.min), highest)
        return found.astype(kind)


def stretched(low: float, high: float, new_low: float, new_high: float) -> Callable[[Reals], Reals]:
    """Return the function that moves ``low`` to ``new_low`` and ``high`` to ``new_high`` linearly and clips beyond."""
    span, new_span = high - low, new_high - new_low

    def function(values: Reals) -> Reals:
        share = np.clip((values - low) / span, 0.0, 1.0)
        return np.asarray(new_low + new_span * share, dtype=np.float64)

    return function


def range_of(array: Array, mask: npt.NDArray[np.bool_] | None, cancel: CancelToken) -> tuple[float, float]:
    """Return the smallest and largest finite value.

    Raises
    ------
    InputError
        If there is none, or they lie further apart than the largest number.
    """
    low, high = (float(v) for v in value_range(array, mask, cancel)[:2])
    if not math.isfinite(high - low):
        raise InputError(f"The image's values span from {low:g} to {high:g}, which is too much to be counted.")
    return low, high


def constant_flag(title: str) -> QCFlag:
    """Return the flag of an image on which an enhancement has no effect."""
    return QCFlag("INT_CONSTANT", Severity.WARNING, f"{title} changed nothing, because the image is constant.")
