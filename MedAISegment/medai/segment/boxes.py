"""Bounding boxes: work where the segment is, not on the whole image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[slice, slice, slice]
FEW = 12
"""Up to so many labels are looked for one by one, which takes less time than one pass over all of them."""


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


def label_boxes(array: npt.NDArray[Any], labels: Iterable[int]) -> dict[int, Box]:
    """Return the bounding box of each of ``labels`` that occurs in an array of uint8 or uint16."""
    wanted = list(labels)
    if len(wanted) <= FEW:
        boxes = {label: bounding_box(array == label) for label in wanted}
    else:
        from scipy.ndimage import find_objects

        found = dict(enumerate(find_objects(array), start=1))
        boxes = {label: found.get(label) for label in wanted}
    return {label: box for label, box in boxes.items() if box is not None}


def widened(box: Box, margin: tuple[int, int, int] | int, shape: tuple[int, ...]) -> Box:
    """Return a box with ``margin`` more voxels on every side (one number, or one for K, J, I), cut at the image."""
    margins = (margin,) * 3 if isinstance(margin, int) else margin
    k, j, i = (
        slice(max(0, part.start - more), min(size, part.stop + more))
        for part, more, size in zip(box, margins, shape, strict=True)
    )
    return k, j, i
