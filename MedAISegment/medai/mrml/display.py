"""How a new volume is first shown: display nodes, window and level."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_SAMPLES = 1_000_000
_PERCENTILES = (0.5, 99.5)
_LARGEST = 1e30
"""Differences between larger values overflow on the way to the screen, which is in single precision."""
_CT_SOFT_TISSUE_HU = (-160.0, 240.0)
"""Window 400 HU at level 40 HU, the usual first look at a body CT."""


def window_range(array: npt.NDArray[Any], modality: str = "", unit: str = "") -> tuple[float, float]:
    """Return the lowest and highest value to tell apart on the screen, in the unit of the voxels.

    CT in HU gets the soft tissue window; anything else the 0.5 to 99.5 percentile of its finite values, so that single
    hot voxels do not darken the image.  A constant image gets a window of 1 around its value.
    """
    if modality == "CT" and unit in ("[hnsf'U]", "HU"):
        return _CT_SOFT_TISSUE_HU
    flat = array.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLES)].astype(np.float64)
    finite = np.clip(sample[np.isfinite(sample)], -_LARGEST, _LARGEST)
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, _PERCENTILES))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def show_volume(node: Any, window: tuple[float, float] | None) -> None:
    """Create a volume node's default display nodes and set its window (lowest, highest value) if there is one."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display is not None and window is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(*window)
