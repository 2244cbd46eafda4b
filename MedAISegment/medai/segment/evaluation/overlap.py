"""Voxel counts of pairs of labels, and the measures made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.labelmap import MAX_LABEL
from medai.core.progress import CancelToken

Box = tuple[slice, slice, slice]
SLAB_VOXELS = 1_000_000


@dataclass(frozen=True)
class Overlap:
    """Voxels of one pair: in the prediction, in the reference, in both, in the grid; and the box that holds them.

    ``box`` is None if there are none.  Every ratio is None where its denominator is 0.
    """

    predicted: int
    reference: int
    both: int
    total: int
    box: Box | None = None

    def dice(self) -> float | None:
        """Return 2 |A and B| / (|A| + |B|), which is F1 (Dice, Ecology 26, 297 (1945))."""
        return _ratio(2 * self.both, self.predicted + self.reference)

    def iou(self) -> float | None:
        """Return |A and B| / |A or B| (Jaccard)."""
        return _ratio(self.both, self.predicted + self.reference - self.both)

    def precision(self) -> float | None:
        """Return the share of the prediction that is right: TP / (TP + FP)."""
        return _ratio(self.both, self.predicted)

    def recall(self) -> float | None:
        """Return the share of the reference that was found: TP / (TP + FN); sensitivity."""
        return _ratio(self.both, self.reference)

    def specificity(self) -> float | None:
        """Return the share of the grid outside the reference that stayed outside: TN / (TN + FP)."""
        outside = self.total - self.reference
        return _ratio(outside - (self.predicted - self.both), outside)

    def accuracy(self) -> float | None:
        """Return the share of the grid on which both say the same about this label: (TP + TN) / all."""
        return _ratio(self.total - self.predicted - self.reference + 2 * self.both, self.total)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def count_pairs(
    predicted: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    pairs: Sequence[tuple[int, int]],
    *,
    cancel: CancelToken | None = None,
) -> list[Overlap]:
    """Count pairs of labels in one pass, slab by slab.

    Parameters
    ----------
    predicted, reference : arrays of uint8 or uint16, shape (K, J, I)
        Labels.
    pairs : sequence of (int, int)
        Label in the prediction and in the reference, 0 for "has none"; no label twice on one side.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    from scipy import ndimage

    token = cancel or CancelToken()
    count = len(pairs)
    tables = [np.zeros(MAX_LABEL + 1, dtype=np.uint16) for _ in range(2)]
    for number, pair in enumerate(pairs, start=1):
        for table, label in zip(tables, pair, strict=True):
            if label:
                table[label] = number
    totals = [np.zeros(count + 1, dtype=np.int64) for _ in range(3)]
    boxes: list[Box | None] = [None] * count
    depth = max(1, SLAB_VOXELS // max(1, reference[0].size))
    for start in range(0, len(reference), depth):
        token.check()
        slab = slice(start, start + depth)
        ids = [table[array[slab]] for table, array in zip(tables, (predicted, reference), strict=True)]
        for total, part in zip(totals, (ids[0], ids[1], ids[0][ids[0] == ids[1]]), strict=True):
            total += np.bincount(part.reshape(-1), minlength=count + 1)
        for part in ids:
            for number, found in enumerate(ndimage.find_objects(part, max_label=count)):
                if found is not None:
                    boxes[number] = _union(boxes[number], found, start)
    return [
        Overlap(int(totals[0][n]), int(totals[1][n]), int(totals[2][n]), reference.size, boxes[n - 1])
        for n in range(1, count + 1)
    ]


def _union(known: Box | None, found: Box, start: int) -> Box:
    moved = (slice(found[0].start + start, found[0].stop + start), found[1], found[2])
    if known is None:
        return moved
    a, b, c = (slice(min(x.start, y.start), max(x.stop, y.stop)) for x, y in zip(known, moved, strict=True))
    return a, b, c
