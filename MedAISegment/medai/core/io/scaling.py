"""Stored values to real values, value = slope x stored + intercept, without losing digits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError

MAX_FACTOR = 1e30
"""Slopes and intercepts beyond this overflow single precision with any stored value and are taken for damage."""


def check_scaling(slope: float, intercept: float, name: str) -> None:
    """Refuse a slope or intercept that would turn the image into nonsense.

    Raises
    ------
    InputError
        If one is NaN, infinite or larger than 1e30, or the slope is 0 or smaller than 1e-30.
    """
    good_slope = np.isfinite(slope) and 1 / MAX_FACTOR <= abs(slope) <= MAX_FACTOR
    good_intercept = np.isfinite(intercept) and abs(intercept) <= MAX_FACTOR
    if not (good_slope and good_intercept):
        raise InputError(
            f"{name!r} scales its voxels by slope {slope:g} and intercept {intercept:g}; "
            "both must be finite and the slope not 0.",
            hint="Repair the header: the real values cannot be known.",
        )


def apply_scaling(stored: npt.NDArray[np.generic], slope: float, intercept: float) -> npt.NDArray[np.generic]:
    """Return slope x stored + intercept, same shape.

    Whole-number scaling of integers stays integer, in the smallest of int16, int32 and int64 that holds the result;
    anything else becomes float32 for stored types of at most 16 bits and for float32, and float64 for wider ones,
    because float32 cannot hold 32-bit integers exactly.
    """
    if slope == 1 and intercept == 0:
        return stored
    if stored.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer():
        low, high = int(stored.min()), int(stored.max())
        ends = sorted((low * int(slope) + int(intercept), high * int(slope) + int(intercept)))
        for kind in (np.int16, np.int32, np.int64):
            limits = np.iinfo(kind)
            # the product alone must fit too, and so must the stored values
            if all(limits.min <= e <= limits.max for e in (*ends, low, high, low * int(slope), high * int(slope))):
                whole: npt.NDArray[np.generic] = stored.astype(kind)
                whole *= kind(int(slope))  # type: ignore[misc]
                whole += kind(int(intercept))  # type: ignore[misc]
                return whole
    wide = stored.dtype.itemsize > 2 and stored.dtype != np.float32
    scaled = np.empty(stored.shape, dtype=np.float64 if wide else np.float32)
    for target, source in zip(scaled, stored, strict=True):
        # in double precision and slice by slice: exact rounding without a second copy of the image
        target[...] = source.astype(np.float64) * slope + intercept
    return scaled
