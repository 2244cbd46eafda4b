"""Bounding boxes: work where the segment is, not on the whole image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[slice, slice, slice]


def bounding_box(mask: npt.NDArray[Any]) -> Box | None:
    """Return the smallest box (K, J, I) that holds every voxel that is not zero, or None if all are."""
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(slices):
        return None
    middle = mask[slices[0] : slices[-1] + 1]
    shadow: npt.NDArray[np.bool_] = np.asarray(middle.any(axis=0))
    rows, columns = np.flatnonzero(shadow.any(axis=1)), np.flatnonzero(shadow.any(axis=0))
    return (
        slice(int(slices[0]), int(slices[-1]) + 1),
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def label_boxes(array: npt.NDArray[Any]) -> dict[int, Box]:
    """Return the bounding box of each label that occurs in an array of uint8 or uint16."""
    from scipy.ndimage import find_objects

    return {label: box for label, box in enumerate(find_objects(array), start=1) if box is not None}


def widened(box: Box, margin: tuple[int, int, int] | int, shape: tuple[int, ...]) -> Box:
    """Return a box with ``margin`` more voxels on every side (one number, or one for K, J, I), cut at the image."""
    margins = (margin,) * 3 if isinstance(margin, int) else margin
    k, j, i = (
        slice(max(0, part.start - more), min(size, part.stop + more))
        for part, more, size in zip(box, margins, shape, strict=True)
    )
    return k, j, i
