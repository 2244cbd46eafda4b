"""What the training images look like in three plain numbers, so that other images can be flagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from medai.core.qc import QCFlag, Severity

Range = tuple[float, float]
Name = Literal["brightness", "spread", "roughness"]
NAMES: dict[Name, str] = {
    "brightness": "mean value",
    "spread": "standard deviation of the values",
    "roughness": "mean difference of neighbouring pixels over the standard deviation",
}
MARGIN = 0.5
"""Ranges are widened on both sides by this share of their length: few images do not show all that is usual."""


def appearance(plane: npt.NDArray[np.float32]) -> dict[Name, float]:
    """Return brightness, spread and roughness of a slice (rows, columns[, 3]) with values from 0 to 1.

    White noise has a roughness of about 1.1, whatever its strength; smooth images have little.  A slice of one value
    has none.
    """
    grey = plane.mean(axis=-1) if plane.ndim == 3 else plane
    spread = float(grey.std())
    steps = [float(np.abs(np.diff(grey, axis=axis)).mean()) for axis in (0, 1) if grey.shape[axis] > 1]
    roughness = float(np.mean(steps)) / spread if spread > 0 and steps else 0.0
    return {"brightness": float(grey.mean()), "spread": spread, "roughness": roughness}


def usual_ranges(planes: Sequence[npt.NDArray[np.float32]]) -> dict[Name, Range]:
    """Return the widened range of each number over slices, one at least."""
    rows = [appearance(plane) for plane in planes]
    ranges: dict[Name, Range] = {}
    for name in NAMES:
        values = [row[name] for row in rows]
        low, high = min(values), max(values)
        # A tenth of the value at least, for training sets in which all images are alike.
        more = max(MARGIN * (high - low), 0.1 * abs(high))
        ranges[name] = (round(low - more, 6), round(high + more, 6))
    return ranges


def domain_flags(planes: Sequence[npt.NDArray[np.float32]], usual: Mapping[Name, Range]) -> list[QCFlag]:
    """Return ``DOMAIN_OOD`` for each number whose median over the slices lies outside what training images show."""
    rows = [appearance(plane) for plane in planes]
    flags = []
    for name, (low, high) in usual.items():
        value = float(np.median([row[name] for row in rows]))
        if not low <= value <= high:
            limit = low if value < low else high
            text = (
                f"The image does not look like the training images: its {name} ({NAMES[name]}) is {value:.3g}, "
                f"theirs lies from {low:.3g} to {high:.3g}; do not trust what is found."
            )
            flags.append(QCFlag("DOMAIN_OOD", Severity.WARNING, text, value, limit))
    return flags
