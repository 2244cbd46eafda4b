"""Measuring a detector on scans whose findings are known: FROC, sensitivity by size, how well masks and boxes fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from medai.core.errors import InputError
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.table import Column, Table
from medai.core.volume import Volume

from ..evaluation.bootstrap import mean_interval
from .froc import Froc, FrocSettings, Scan, froc
from .matching import box_iou, matches
from .model import DetectorModel
from .result import Detections
from .run import DetectSettings, run_detector, with_masks

SIZES_MM = (0.0, 6.0, 10.0, 15.0, 1e6)
"""Borders of the classes of diameter."""


@dataclass(frozen=True, eq=False)
class MeasureScan:
    """A scan to be measured on."""

    name: str
    volume: Volume
    truth: Detections


@dataclass(frozen=True)
class Row:
    """One finding that is there.

    Parameters
    ----------
    score : float
        Of the best candidate on it; 0 if it was missed at every score.
    box_iou, dice : float
        Of that candidate with the truth; NaN if there is none, or no mask.
    """

    scan: str
    diameter_mm: float
    score: float
    box_iou: float
    dice: float


@dataclass(frozen=True)
class Measured:
    """What was measured."""

    froc: Froc
    rows: tuple[Row, ...]
    shown: float
    seconds: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        sensitivity, alarms = self.froc.at_score(self.shown)
        return {
            "froc": self.froc.to_dict(),
            "shown_score": self.shown,
            "at_shown_score": {"sensitivity": sensitivity, "false_positives_per_scan": alarms},
            "by_diameter": self.by_diameter(),
            "masks": self._masks(),
            "seconds_per_scan": float(np.mean(self.seconds)),
        }

    def by_diameter(self) -> list[dict[str, Any]]:
        """Return how many findings of each size were found at the shown score."""
        found = []
        for low, high in itertools.pairwise(SIZES_MM):
            rows = [row for row in self.rows if low <= row.diameter_mm < high]
            hits = sum(row.score >= self.shown for row in rows)
            top = high if high < SIZES_MM[-1] else None
            found.append({"from_mm": low, "to_mm": top, "findings": len(rows), "found": hits})
        return found

    def _masks(self) -> dict[str, Any]:
        dice = [row.dice for row in self.rows if row.score >= self.shown and np.isfinite(row.dice)]
        interval = mean_interval(dice) if dice else None
        return {
            "findings": len(dice),
            "mean_dice": float(np.mean(dice)) if dice else None,
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
        }

    def table(self) -> Table:
        """Return one row a finding that is there."""
        return Table("findings", (
            Column("scan", tuple(row.scan for row in self.rows)),
            Column("diameter", tuple(row.diameter_mm for row in self.rows), "mm", "Mean of the box's lengths."),
            Column("score", tuple(row.score for row in self.rows), "", "Of the best candidate on it; 0: missed."),
            Column("box_iou", tuple(row.box_iou for row in self.rows), "", "Of that candidate's box."),
            Column("dice", tuple(row.dice for row in self.rows), "", "Of that candidate's mask."),
        ))  # fmt: skip


def measure_detector(
    model: DetectorModel,
    scans: Iterable[MeasureScan],
    count: int,
    settings: FrocSettings | None = None,
    *,
    masks: bool = True,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Measured:
    """Detect in every scan, down to the model's smallest score, and compare with what is there.

    Parameters
    ----------
    scans : iterable of MeasureScan
        Taken one at a time.
    count : int
        How many there are, for the progress.
    masks : bool
        Also run the second stage on what reaches the score from which findings are shown, and compare the masks.
    """
    token, chosen = cancel or CancelToken(), settings or FrocSettings()
    pairs: list[Scan] = []
    rows: list[Row] = []
    seconds: list[float] = []
    m = model.manifest
    for number, scan in enumerate(scans):
        token.check()
        boxes = run_detector(
            model, scan.volume, DetectSettings(score=m.select.score, masks=False, device="cpu"), cancel=token
        )
        shown = boxes.above(m.select.shown)
        if masks and m.mask is not None:
            shown = with_masks(model, scan.volume, shown, cancel=token)
        seconds.append(float(boxes.meta["seconds"]))
        pairs.append(Scan(boxes, scan.truth, scan.name))
        rows += _rows(scan, boxes, shown, chosen)
        progress((number + 1) / count, f"measuring {scan.name}")
    if not pairs:
        raise InputError("There are no scans to measure the detector on.")
    return Measured(froc(pairs, chosen), tuple(rows), m.select.shown, tuple(seconds))


def _rows(scan: MeasureScan, boxes: Detections, shown: Detections, settings: FrocSettings) -> list[Row]:
    hits = matches(boxes, scan.truth, settings.match, settings.iou)
    overlaps = box_iou(boxes.boxes(), scan.truth.boxes()) if len(boxes) and len(scan.truth) else hits.astype(float)
    scores = boxes.scores()
    rows = []
    for column, item in enumerate(scan.truth.items):
        if item.ignore:
            continue
        on_it = np.flatnonzero(hits[:, column])
        if not len(on_it):
            rows.append(Row(scan.name, item.diameter_mm, 0.0, float("nan"), float("nan")))
            continue
        best = int(on_it[0])  # findings are sorted by score
        dice = _dice(scan, item.mask_label, shown, boxes.items[best].low)
        rows.append(Row(scan.name, item.diameter_mm, float(scores[best]), float(overlaps[best, column]), dice))
    return rows


def _dice(scan: MeasureScan, label: int | None, shown: Detections, low: tuple[float, float, float]) -> float:
    """Return the Dice of the mask of the candidate whose box starts at ``low``; NaN without masks."""
    same = [item for item in shown.items if item.low == low]
    if not same or label is None or scan.truth.masks is None or shown.masks is None:
        return float("nan")
    truth = scan.truth.masks.array == label
    found = shown.masks.array == (same[0].mask_label or -1)
    total = int(truth.sum()) + int(found.sum())
    return float(2 * (truth & found).sum() / total) if total else float("nan")
