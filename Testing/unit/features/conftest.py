"""Small images and masks for the feature tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.features import FeatureTable, extract

Measure = Callable[..., FeatureTable]
Pair = Callable[..., tuple[Volume, LabelMap]]


@pytest.fixture(scope="session")
def pair() -> Pair:
    """Build an image and its labels: ``pair(mask, array=None, spacing=(1, 1, 1), geometry=None, unit="")``."""

    def build(
        mask: Any, array: Any = None, spacing: Any = (1.0, 1.0, 1.0), geometry: Geometry | None = None, unit: str = ""
    ) -> tuple[Volume, LabelMap]:
        mask = np.asarray(mask)
        grid = geometry or Geometry.from_spacing(mask.shape, spacing)
        if array is None:
            array = np.arange(mask.size, dtype=np.float64).reshape(mask.shape) + 1
        return Volume(np.asarray(array), grid, unit=unit), LabelMap(mask.astype(np.uint8), grid)

    return build


@pytest.fixture(scope="session")
def measure(pair: Pair) -> Measure:
    """Measure label 1: ``measure(mask, array=None, settings=None, **geometry)``."""

    def run(mask: Any, array: Any = None, settings: Any = None, **options: Any) -> FeatureTable:
        return extract(*pair(mask, array, **options), settings)

    return run


@pytest.fixture(scope="session")
def ball() -> Callable[..., np.ndarray]:
    """Voxelise an ellipsoid: ``ball(radii_mm, spacing_kji)``, two voxels of background around it."""

    def build(radii: tuple[float, float, float], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
        half = [int(np.ceil(r / s)) + 2 for r, s in zip(radii, spacing, strict=True)]
        k, j, i = (np.arange(-n, n + 1) * s for n, s in zip(half, spacing, strict=True))
        inside = (k / radii[0])[:, None, None] ** 2 + (j / radii[1])[:, None] ** 2 + (i / radii[2]) ** 2
        return inside <= 1

    return build
