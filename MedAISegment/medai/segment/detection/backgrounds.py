"""Backgrounds from real CT: where the lungs are, and the part of a scan that training may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt

from medai.core.labelmap import LabelMap
from medai.core.resample import reorient_plan
from medai.core.volume import Volume

from ..boxes import Box
from ..morphology import opened
from .phantom import Background

Side = Literal["left", "right", "both"]
LUNGS = (10, 11, 12, 13, 14)
"""TotalSegmentator's labels of the lobes of the lungs (version 2)."""
AERATED_HU = -500.0
EMPTY_HU = -950.0
OPENING_MM = 2.0
LEAST_MM3 = 10_000.0


def lungs_of(volume: Volume, labels: LabelMap, numbers: Iterable[int] = LUNGS) -> npt.NDArray[np.bool_]:
    """Return the aerated voxels of some labels: places for nodules, without vessels.

    Raises
    ------
    GeometryError
        If the labels lie on another grid.
    """
    volume.geometry.require_same(labels.geometry, "labels'")
    return np.asarray(np.isin(labels.array, list(numbers)) & (volume.array < AERATED_HU))


def part_of(volume: Volume, place: npt.NDArray[np.bool_], side: Side, name: str = "") -> Background:
    """Return one half of a scan, cut at the middle slice along the axis nearest to left-right.

    The middle slice of an odd number belongs to neither half.
    """
    if side == "both":
        return Background(volume, place, name)
    box = half(volume, side)
    k, j, i = box
    shape = (k.stop - k.start, j.stop - j.start, i.stop - i.start)
    return Background(volume.crop((k.start, j.start, i.start), shape), place[box], name)


def half(volume: Volume, side: Literal["left", "right"]) -> Box:
    """Return the voxels of one side of an image."""
    # Where the axes of an image in RAS come from, and whether they run the other way in this one.
    order, flips = reorient_plan(volume.geometry, "RAS")
    axis, turned = order[2], flips[2]
    size = volume.geometry.shape[axis]
    upper = (side == "right") != turned
    parts = [slice(0, n) for n in volume.geometry.shape]
    parts[axis] = slice(size - size // 2, size) if upper else slice(0, size // 2)
    return parts[0], parts[1], parts[2]


def aerated_lung(volume: Volume) -> npt.NDArray[np.bool_]:
    """Return aerated lung without a segmentation: -950 to -500 HU, opened by 2 mm, in parts of at least 10 mL.

    Air around the patient and in the bowel is darker, and only a rim of it is left, which the opening removes.
    """
    from scipy import ndimage

    mask = (volume.array > EMPTY_HU) & (volume.array < AERATED_HU)
    kept = opened(mask, OPENING_MM, volume.geometry.spacing_kji)
    parts, count = ndimage.label(kept)
    if not count:
        return np.asarray(kept)
    sizes = np.bincount(parts.reshape(-1)) * volume.geometry.voxel_volume_mm3
    large = sizes >= LEAST_MM3
    large[0] = False
    return np.asarray(large[parts])
