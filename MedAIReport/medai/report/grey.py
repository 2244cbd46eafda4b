"""Window and level: which intensities a picture shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.volume import Volume

from .quantity import unit_text

_SAMPLES = 2_000_000


@dataclass(frozen=True)
class Window:
    """Grey scale of a picture: black at ``level - width / 2``, white at ``level + width / 2``.

    Parameters
    ----------
    width, level : float
        In ``unit``; width > 0.
    unit : str
        UCUM.
    """

    width: float
    level: float
    unit: str = ""

    @property
    def text(self) -> str:
        """For captions, for example ``W 400 L 40 HU``."""
        return f"W {self.width:.4g} L {self.level:.4g} {unit_text(self.unit)}".strip()

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return 0..255; NaN becomes black."""
        low = self.level - self.width / 2.0
        scaled = (np.nan_to_num(values.astype(np.float64), nan=low) - low) / self.width
        return np.rint(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)


SOFT_TISSUE = Window(400.0, 40.0, "[hnsf'U]")
LUNG = Window(1500.0, -600.0, "[hnsf'U]")
BONE = Window(1800.0, 400.0, "[hnsf'U]")


def is_hounsfield(volume: Volume) -> bool:
    """Return True if the values are Hounsfield units as far as anybody said."""
    scaled = not any(flag.code == "INT_RANGE_NOT_HU" for flag in volume.flags)
    return scaled and (volume.unit == "[hnsf'U]" or (volume.modality == "CT" and not volume.unit))


def percentile_window(volume: Volume, values: npt.NDArray[Any]) -> Window:
    """Return the window from the 1st to the 99.5th percentile of the finite values that are not background (0)."""
    flat = values.reshape(-1)
    flat = flat[:: max(1, flat.size // _SAMPLES)].astype(np.float64)
    flat = flat[np.isfinite(flat)]
    inside = flat[flat != 0]
    used = inside if inside.size else flat
    low, high = (float(v) for v in np.percentile(used, [1.0, 99.5])) if used.size else (0.0, 1.0)
    if volume.modality in ("MR", "PT", "NM", "") and low > 0:
        low = 0.0
    width = high - low if high > low else 1.0
    return Window(width, (low + high) / 2.0, volume.unit or "[arb'U]")


def choose_window(volume: Volume, default: Window, mean: float | None) -> Window:
    """Return the window for a segment: for CT by its mean HU (lung, bone or soft tissue), else ``default``."""
    if not is_hounsfield(volume):
        return default
    if mean is not None and mean < -400:
        return LUNG
    return BONE if mean is not None and mean > 250 else SOFT_TISSUE
