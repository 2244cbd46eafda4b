"""A filter of scalar images, run on each component of a colour image alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import ProgressFn, sub_progress

Array = npt.NDArray[Any]


def by_component(array: Array, function: Callable[[Array, ProgressFn], Array], progress: ProgressFn) -> Array:
    """Return ``function(part, progress)`` of an image (K, J, I), or of each component of one (K, J, I, components)."""
    if array.ndim == 3:
        return function(array, progress)
    count = array.shape[3]
    result: Array | None = None
    for number in range(count):
        found = function(array[..., number], sub_progress(progress, number / count, (number + 1) / count))
        if result is None:
            result = np.empty(array.shape, found.dtype)
        result[..., number] = found
    assert result is not None
    return result


def real_type(array: Array) -> np.dtype[Any]:
    """Return the type of averages: float64 for float64, else float32."""
    return np.dtype(np.float64 if array.dtype.kind == "f" and array.dtype.itemsize == 8 else np.float32)
