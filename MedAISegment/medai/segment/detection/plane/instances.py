"""The instances of one slice: from boxes, scores and mask probabilities to pixels that belong to one instance each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Raw:
    """What the network gives for one slice.

    Parameters
    ----------
    boxes : array, shape (N, 4)
        Left, top, right, bottom in edge coordinates.
    scores : array, shape (N,)
        From 0 to 1.
    classes : array of whole numbers, shape (N,)
        From 1.
    masks : array, shape (N, rows, columns)
        Probability that a pixel belongs to the instance.
    """

    boxes: npt.NDArray[Any]
    scores: npt.NDArray[Any]
    classes: npt.NDArray[Any]
    masks: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Instance:
    """One instance of a slice.

    Parameters
    ----------
    box : tuple of float
        Left, top, right, bottom in edge coordinates, inside the slice.
    score : float
    kind : int
        Class, from 1.
    row, column : int
        Where ``mask`` begins.
    mask : array of bool, shape (height, width)
        The instance's own pixels; at least one, and none that another instance of the slice has.
    """

    box: tuple[float, float, float, float]
    score: float
    kind: int
    row: int
    column: int
    mask: npt.NDArray[np.bool_]

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))


def instances_of(raw: Raw, *, score: float, mask: float, smallest: int = 1, most: int = 10_000) -> list[Instance]:
    """Return the instances of a slice, best first.

    A pixel that several masks claim goes to the one with the highest score; an instance that keeps less than half of
    what it claimed is the same thing found once more, and is dropped.

    Parameters
    ----------
    raw : Raw
    score : float
        Smallest score.
    mask : float
        Smallest probability of a pixel.
    smallest : int
        Fewest pixels of its own.
    most : int
        Most instances.
    """
    rows, columns = raw.masks.shape[-2:]
    taken = np.zeros((rows, columns), dtype=bool)
    found: list[Instance] = []
    for n in np.argsort(-raw.scores, kind="stable"):
        if not raw.scores[n] >= score or len(found) >= most:
            break
        left, top, right, bottom = (float(v) for v in raw.boxes[n])
        left, right = max(0.0, left), min(float(columns), right)
        top, bottom = max(0.0, top), min(float(rows), bottom)
        if not (left < right and top < bottom):
            continue
        # The probabilities are painted into the box; beyond its last pixels there is nothing.
        place = (slice(math.floor(top), math.ceil(bottom)), slice(math.floor(left), math.ceil(right)))
        claimed = raw.masks[n][place] >= mask
        own = claimed & ~taken[place]
        count = int(np.count_nonzero(own))
        if count < smallest or 2 * count < np.count_nonzero(claimed):
            continue
        taken[place] |= own
        best = min(1.0, float(raw.scores[n]))
        box = (left, top, right, bottom)
        found.append(Instance(box, best, int(raw.classes[n]), place[0].start, place[1].start, own))
    return found


def mask_iou(one: Instance, other: Instance) -> float:
    """Return the intersection over union of two instances' pixels, as if they lay in the same slice."""
    row, column = max(one.row, other.row), max(one.column, other.column)
    end = [min(a.row + a.mask.shape[0] for a in (one, other)), min(a.column + a.mask.shape[1] for a in (one, other))]
    if row >= end[0] or column >= end[1]:
        return 0.0
    cut = [a.mask[row - a.row : end[0] - a.row, column - a.column : end[1] - a.column] for a in (one, other)]
    shared = int(np.count_nonzero(cut[0] & cut[1]))
    return shared / (one.pixels + other.pixels - shared)
