"""Average precision, as the COCO challenge measures it: of boxes and of masks.

Lin et al., Microsoft COCO: Common Objects in Context (2014), and the evaluation that its web site describes: in each
image the best-scored finding chooses first, and takes the free true instance that it overlaps most, if by enough.
Precision is made to fall with recall and read at 101 recalls from 0 to 1; the mean is the AP.  AP50 asks for an
overlap (IoU) of 0.5; AP is the mean over 0.50, 0.55, ... 0.95, and over the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError

from ..froc import Scan
from ..matching import box_iou
from ..result import Detections

THRESHOLDS = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))
RECALLS = np.linspace(0, 1, 101)
MOST = 100
"""Findings of an image that count, the best ones."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AveragePrecision:
    """The result.

    Parameters
    ----------
    ap, ap50, ap75 : float
        Mean over the thresholds, and at 0.50 and 0.75.
    intervals : dict
        ``ap`` and ``ap50``: bounds of the confidence interval; empty without one.
    images, instances, findings : int
        How many there were.
    """

    ap: float
    ap50: float
    ap75: float
    intervals: dict[str, tuple[float, float]]
    images: int
    instances: int
    findings: int

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        return {**self.__dict__, "intervals": {name: list(pair) for name, pair in self.intervals.items()}}


@dataclass(frozen=True, eq=False)
class _Judged:
    """Of one image and class: scores (N,), hits (thresholds, N), and how many there are to find."""

    scores: FloatArray
    hits: npt.NDArray[np.bool_]
    wanted: int


def average_precision(
    images: Sequence[Scan],
    of: Literal["boxes", "masks"] = "boxes",
    *,
    resamples: int = 0,
    confidence: float = 0.95,
    seed: int = 20261122,
) -> AveragePrecision:
    """Measure findings against the truth.

    Parameters
    ----------
    images : sequence of Scan
        What was found and what is there, on the same grids.  Low scores belong in: they are ranked here.
    of : {"boxes", "masks"}
        What must overlap; masks are the segments of the findings' label maps.
    resamples : int
        Draws of images with replacement for percentile intervals; 0 for none.

    Raises
    ------
    InputError
        If there is nothing to find in any image, or masks are wanted and a finding has none.
    """
    kinds = sorted({item.label for image in images for item in image.truth.items})
    if not kinds:
        raise InputError("None of the images holds an instance, so there is no precision to measure.")
    judged = {kind: [_judge(image, kind, of) for image in images] for kind in kinds}
    every = np.ones(len(images), dtype=np.int64)
    table = _table(judged, every)
    intervals: dict[str, tuple[float, float]] = {}
    if resamples and len(images) > 1:
        random = np.random.default_rng(seed)
        draws = random.multinomial(len(images), np.full(len(images), 1 / len(images)), resamples)
        drawn = np.array([t for t in (_table(judged, draw) for draw in draws) if np.isfinite(t).all()])
        tails = [50 * (1 - confidence), 50 * (1 + confidence)]
        for name, values in (("ap", drawn.mean(axis=1)), ("ap50", drawn[:, 0])):
            low, high = np.percentile(values, tails)
            intervals[name] = (float(low), float(high))
    return AveragePrecision(
        float(table.mean()), float(table[0]), float(table[5]), intervals, len(images),
        sum(len(image.truth) for image in images), sum(len(image.found) for image in images),
    )  # fmt: skip


def mask_overlaps(found: Detections, truth: Detections) -> FloatArray:
    """Return the intersection over union of masks, shape (found, truth).

    Raises
    ------
    InputError
        If a finding has no mask.
    """
    if found.masks is None or truth.masks is None or any(d.mask_label is None for d in (*found.items, *truth.items)):
        raise InputError("Masks are to be compared, and a finding has none.")
    one, other = found.masks.array.astype(np.int64).ravel(), truth.masks.array.astype(np.int64).ravel()
    width = int(other.max(initial=0)) + 1
    both = np.bincount(one * width + other, minlength=(int(one.max(initial=0)) + 1) * width).reshape(-1, width)
    rows = np.array([d.mask_label for d in found.items], dtype=np.int64)
    columns = np.array([d.mask_label for d in truth.items], dtype=np.int64)
    # A segment may be empty, and its label larger than any in the array.
    sizes = np.zeros((max(both.shape[0], rows.max(initial=0) + 1), max(width, columns.max(initial=0) + 1)))
    sizes[: both.shape[0], :width] = both
    shared = sizes[np.ix_(rows, columns)]
    union = sizes.sum(axis=1)[rows][:, None] + sizes.sum(axis=0)[columns][None] - shared
    return np.asarray(shared / np.maximum(union, 1))


def _judge(image: Scan, kind: int, of: str) -> _Judged:
    rows = [n for n, item in enumerate(image.found.items) if item.label == kind][:MOST]
    columns = [n for n, item in enumerate(image.truth.items) if item.label == kind]
    if of == "boxes":
        overlap = box_iou(image.found.boxes(), image.truth.boxes())
    else:
        overlap = mask_overlaps(image.found, image.truth)
    overlap = overlap[np.ix_(rows, columns)]
    hits = np.zeros((len(THRESHOLDS), len(rows)), dtype=bool)
    for t, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(columns), dtype=bool)
        for n in range(len(rows)):
            open_overlap = np.where(free, overlap[n], -1.0)
            if len(columns) and open_overlap.max() >= threshold:
                free[int(open_overlap.argmax())] = False
                hits[t, n] = True
    return _Judged(image.found.scores()[rows], hits, len(columns))


def _table(judged: dict[int, list[_Judged]], times: npt.NDArray[np.int64]) -> FloatArray:
    """Return the AP at each threshold, mean over the classes, with each image counted so often; NaN: none to find."""
    rows = []
    for images in judged.values():
        wanted = sum(int(n) * image.wanted for n, image in zip(times, images, strict=True))
        if not wanted:
            continue
        scores = np.concatenate([np.repeat(image.scores, n) for n, image in zip(times, images, strict=True)])
        parts = [np.repeat(image.hits, n, axis=1) for n, image in zip(times, images, strict=True)]
        hits = np.concatenate(parts, axis=1)[:, np.argsort(-scores, kind="stable")]
        rows.append([_area(row, wanted) for row in hits])
    return np.mean(rows, axis=0) if rows else np.full(len(THRESHOLDS), np.nan)


def _area(hits: npt.NDArray[np.bool_], wanted: int) -> float:
    true = np.cumsum(hits)
    recall, precision = true / wanted, true / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(falling, 0.0)[np.minimum(places, len(hits))].mean())
