"""Histogram of an image, made slab by slab: what thresholds, clusters and look-up tables need instead of the voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.progress import CancelToken, no_progress

from .slabs import for_slabs

BINS = 4096
"""Bins for values that are not counted one by one."""
EXACT = 65536
"""Most different whole numbers that are counted one by one."""
SLAB_VOXELS = 1 << 21

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of an image's finite values.

    Parameters
    ----------
    counts : array of int64, shape (bins,)
        Voxels in each bin.
    centres : array of float64, shape (bins,)
        Value that a bin stands for.
    edges : array of float64, shape (bins,)
        Smallest value of each bin: a voxel belongs to the last bin whose edge is not greater.
    exact : bool
        True if each bin holds one value.
    ignored : int
        Voxels that are NaN or infinite.
    """

    counts: npt.NDArray[np.int64]
    centres: npt.NDArray[np.float64]
    edges: npt.NDArray[np.float64]
    exact: bool
    ignored: int = 0

    @property
    def total(self) -> int:
        """Number of voxels counted."""
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float:
        """Return the value of which ``percent`` % of the voxels are not greater; exact where the bins are."""
        below = np.cumsum(self.counts)
        place = int(np.searchsorted(below, percent / 100 * below[-1], side="left"))
        return float(self.centres[min(place, len(self.centres) - 1)])

    def require_two_values(self, what: str) -> None:
        """Raise :class:`InputError` if all voxels have one value, with ``what`` as the sentence's subject."""
        if np.count_nonzero(self.counts) < 2:
            raise InputError(f"{what} needs at least two different values; the image is constant or empty.")


def value_range(
    array: Array, mask: npt.NDArray[np.bool_] | None = None, cancel: CancelToken | None = None
) -> tuple[float | int, float | int, int, int]:
    """Return (smallest, largest, counted, ignored) of the finite values of an array (K, ...), inside a mask.

    Whole numbers stay Python integers.

    Raises
    ------
    InputError
        If there is no finite value.
    """
    is_float = array.dtype.kind == "f"

    def part(start: int, stop: int) -> tuple[Any, Any, int, int] | None:
        values = array[start:stop] if mask is None else array[start:stop][mask[start:stop]]
        size = values.size
        if is_float:
            finite = np.isfinite(values)
            if not finite.all():
                values = values[finite]
        return (values.min(), values.max(), values.size, size - values.size) if values.size else (None, None, 0, size)

    parts = _slabs(array, part, cancel)
    ignored = sum(p[3] for p in parts)
    found = [p for p in parts if p[2]]
    if not found:
        raise InputError("The image holds no finite value here.", hint="Check the image or the segment.")
    low, high = min(p[0] for p in found), max(p[1] for p in found)
    kind = float if is_float else int
    return kind(low), kind(high), sum(p[2] for p in found), ignored


def histogram_of(
    array: Array,
    mask: npt.NDArray[np.bool_] | None = None,
    *,
    bins: int = BINS,
    cancel: CancelToken | None = None,
) -> Histogram:
    """Count the values of an array.

    Whole numbers that span at most :data:`EXACT` values are counted one by one, others in ``bins`` equal bins.  Extra
    memory is a few slices.

    Parameters
    ----------
    array : array, shape (K, J, I)
        Never changed.  NaN and infinity are not counted.
    mask : array of bool, shape (K, J, I), optional
        Only its voxels count.

    Raises
    ------
    InputError
        If there is no finite value, or whole numbers beyond 2^53 lie too close together.
    """
    low, high, counted, ignored = value_range(array, mask, cancel)
    if array.dtype.kind in "iu" and np.spacing(float(max(abs(low), abs(high)))) > 1:
        value = np.array([float(low)])
        if low == high:
            return Histogram(np.array([counted], dtype=np.int64), value, value, True, ignored)
        if np.spacing(float(max(abs(low), abs(high)))) > (high - low) / bins:
            raise InputError(
                f"The values from {low} to {high} cannot be told apart as real numbers.",
                hint="Subtract the smallest value from the image first.",
            )
    if array.dtype.kind in "iub" and int(high) - int(low) < EXACT:
        size = int(high) - int(low) + 1
        counts = sum(_slabs(array, _counter_of_whole_numbers(array, mask, int(low), size), cancel))
        values = np.arange(int(low), int(high) + 1, dtype=np.float64)
        return Histogram(np.asarray(counts, dtype=np.int64), values, values, True, ignored)
    low, high = float(low), float(high)
    width = (high - low) / bins
    if low == high or not low + width > low or not high - width < high:
        return _of_distinct_values(array, mask, ignored)

    def part(start: int, stop: int) -> npt.NDArray[np.int64]:
        values = array[start:stop] if mask is None else array[start:stop][mask[start:stop]]
        place = ((values.astype(np.float64) - low) / width).reshape(-1)
        place = place[np.isfinite(place)] if ignored else place
        return np.bincount(np.clip(place, 0, bins - 1).astype(np.int32), minlength=bins)

    counts = sum(_slabs(array, part, cancel))
    edges = low + width * np.arange(bins, dtype=np.float64)
    return Histogram(np.asarray(counts, dtype=np.int64), edges + width / 2, edges, False, ignored)


def _counter_of_whole_numbers(array: Array, mask: npt.NDArray[np.bool_] | None, low: int, size: int) -> Any:
    narrow = array.dtype.itemsize <= 2

    def part(start: int, stop: int) -> npt.NDArray[np.int64]:
        values = array[start:stop] if mask is None else array[start:stop][mask[start:stop]]
        # Subtracting in the next larger type cannot wrap; bincount wants the platform's integers anyway.
        wide = values.reshape(-1).astype(np.int32 if narrow else np.int64)
        return np.bincount(np.subtract(wide, low, out=wide), minlength=size)

    return part


def _of_distinct_values(array: Array, mask: npt.NDArray[np.bool_] | None, ignored: int) -> Histogram:
    """Count each value; for types that tell too few numbers between the limits apart for equal bins."""
    values = array.reshape(-1) if mask is None else array[mask]
    if array.dtype.kind == "f":
        values = values[np.isfinite(values)]
    distinct, counts = np.unique(values, return_counts=True)
    centres = distinct.astype(np.float64)
    return Histogram(counts.astype(np.int64), centres, centres, True, ignored)


def _slabs(array: Array, part: Any, cancel: CancelToken | None) -> list[Any]:
    slab = max(1, SLAB_VOXELS // max(1, array[0].size))
    return for_slabs(len(array), part, slab=slab, progress=no_progress, cancel=cancel or CancelToken())
