"""The first stage over a whole image: windows that overlap, the boxes of each, and the best of those that coincide."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import FloatArray
from medai.core.progress import CancelToken, ProgressFn

from ..inference.prepare import FloatImage
from ..inference.windows import axis_starts
from .manifest import SelectEntry
from .matching import box_iou
from .samples import cut_window

if TYPE_CHECKING:
    import torch

BATCH = 4
SLACK = 1.0
"""Voxels by which the parts of two windows that count overlap: both may see a centre a little differently."""
Span = tuple[int, float, float]


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes along K, J, I in edge coordinates of the prepared image, best first.

    Parameters
    ----------
    boxes : array, shape (N, 6)
    scores : array, shape (N,)
    classes : array of int, shape (N,)
        From 0.
    windows : int
        How many were looked at.
    """

    boxes: FloatArray
    scores: FloatArray
    classes: npt.NDArray[np.int64]
    windows: int


def spans(length: int, size: int, overlap: float) -> list[Span]:
    """Return start, and the part of the axis whose centres count, of each window along an axis.

    A centre counts in the window in whose middle it lies: half of what two windows share belongs to each.  So a thing
    no longer than what they share is seen whole where it counts.
    """
    starts = axis_starts(length, size, overlap, "even")
    borders = [(a + size + b) / 2 for a, b in itertools.pairwise(starts)]
    low = [-np.inf, *(border - SLACK for border in borders)]
    high = [*(border + SLACK for border in borders), np.inf]
    return [(start, float(a), float(b)) for start, a, b in zip(starts, low, high, strict=True)]


def find_boxes(
    array: FloatImage,
    detector: torch.nn.Module,
    window: tuple[int, int, int],
    select: SelectEntry,
    *,
    device: str,
    progress: ProgressFn,
    cancel: CancelToken,
) -> Found:
    """Look at a prepared image (C, K, J, I) window by window.

    Only the boxes of earlier windows are held beside the image, never maps of the whole image.

    Parameters
    ----------
    detector : torch.nn.Module
        MONAI's, in evaluation mode, on ``device``.

    Raises
    ------
    Cancelled
        If somebody asked to stop; asked before each few windows.
    """
    import torch

    axes = [spans(n, size, select.overlap) for n, size in zip(array.shape[1:], window, strict=True)]
    places = [place for place in itertools.product(*axes) if _worth(array, place, window, select)]
    boxes: list[FloatArray] = [np.zeros((0, 6))]
    scores: list[FloatArray] = [np.zeros(0)]
    classes: list[npt.NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    with torch.inference_mode():
        for first in range(0, len(places), BATCH):
            cancel.check()
            group = places[first : first + BATCH]
            parts = [cut_window(array, np.array([span[0] for span in place]), window) for place in group]
            outputs: list[dict[str, Any]] = detector(torch.from_numpy(np.stack(parts)).to(device))
            for place, output in zip(group, outputs, strict=True):
                found = output["boxes"].double().cpu().numpy() + np.tile([span[0] for span in place], 2)
                keep = _counts(found, place)
                boxes.append(found[keep])
                scores.append(output["labels_scores"].double().cpu().numpy()[keep])
                classes.append(output["labels"].cpu().numpy()[keep])
            progress(min(1.0, (first + len(group)) / len(places)), "looking")
    return _best(np.concatenate(boxes), np.concatenate(scores), np.concatenate(classes), select, len(places))


def _worth(array: FloatImage, place: Sequence[Span], window: tuple[int, int, int], select: SelectEntry) -> bool:
    if select.needs is None:
        return True
    # What lies outside a small image says nothing about it.
    box = tuple(
        slice(max(span[0], 0), min(span[0] + size, length))
        for span, size, length in zip(place, window, array.shape[1:], strict=True)
    )
    part = array[0][box]
    return float(((part >= select.needs.low) & (part <= select.needs.high)).mean()) >= select.needs.share


def _counts(boxes: FloatArray, place: Sequence[Span]) -> npt.NDArray[np.bool_]:
    middle = (boxes[:, :3] + boxes[:, 3:]) / 2
    low, high = np.array([span[1] for span in place]), np.array([span[2] for span in place])
    return np.asarray(((middle >= low) & (middle < high)).all(axis=1))


def _best(
    boxes: FloatArray, scores: FloatArray, classes: npt.NDArray[np.int64], select: SelectEntry, windows: int
) -> Found:
    """Keep the best of boxes of a class that overlap, within and across windows."""
    # Equal scores in a fixed order, whatever the sorting does with them.
    left = np.array(sorted(range(len(boxes)), key=lambda n: (-scores[n], *boxes[n])), dtype=np.int64)
    kept: list[int] = []
    # MONAI's function compares all boxes with all, which takes gigabytes for the boxes of a hundred windows.
    while len(left) and len(kept) < select.most:
        first, rest = int(left[0]), left[1:]
        kept.append(first)
        same = classes[rest] == classes[first]
        left = rest[~(same & (box_iou(boxes[first][None], boxes[rest])[0] > select.nms))]
    return Found(boxes[kept], scores[kept], classes[kept], windows)
