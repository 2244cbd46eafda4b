"""What the network is to find in one slice: a box, a mask and a class for each instance of a label map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Targets:
    """The instances of a slice.

    Parameters
    ----------
    boxes : array, shape (N, 4), float32
        Left, top, right, bottom in edge coordinates: the pixel (row, column) reaches from there to (row + 1,
        column + 1).
    masks : array, shape (N, rows, columns), uint8
    classes : array, shape (N,), int64
        1 for the recipe's first class.
    """

    boxes: npt.NDArray[np.float32]
    masks: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.boxes)


def targets_of(plane: npt.NDArray[Any], classes: Mapping[int, int], smallest: int = 1) -> Targets:
    """Return the instances of a label image.

    Parameters
    ----------
    plane : array of whole numbers, shape (rows, columns)
        0 is background, every other value one instance, in however many pieces.
    classes : mapping
        Class of each value; empty: every instance is of class 1.
    smallest : int
        Instances of fewer pixels are left out.
    """
    from scipy.ndimage import find_objects

    boxes, masks, kinds = [], [], []
    for value, place in enumerate(find_objects(plane), start=1):
        if place is None:
            continue
        inside = plane[place] == value
        if np.count_nonzero(inside) < smallest:
            continue
        rows, columns = place
        mask = np.zeros(plane.shape, dtype=np.uint8)
        mask[place] = inside
        boxes.append((columns.start, rows.start, columns.stop, rows.stop))
        masks.append(mask)
        kinds.append(classes[value] if classes else 1)
    return Targets(
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(masks, dtype=np.uint8).reshape(-1, *plane.shape),
        np.array(kinds, dtype=np.int64),
    )
