"""FROC: how many findings are found at how many false alarms per scan, as the LUNA16 challenge measures it.

Setio et al., Medical Image Analysis 42, 1-13 (2017): sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per
scan, read from the curve by linear interpolation; their mean is the competition performance metric (CPM).  A finding
counts as found if a candidate's centre lies inside the sphere of its diameter around its centre.  Further candidates
on the same finding, and candidates on findings that are to be ignored, count neither way.  Intervals come from
drawing scans anew with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.settings import Settings

from .matching import matches
from .result import Detections

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which LUNA16 reads the curve."""
FloatArray = npt.NDArray[np.float64]


class FrocSettings(Settings):
    """How findings are matched and how intervals are drawn."""

    match: Literal["centre", "iou"] = Field("centre", description="centre: inside the sphere (LUNA16). iou: overlap.")
    iou: float = Field(0.1, gt=0, le=1, description="Smallest intersection over union of the boxes, for match = iou.")
    resamples: int = Field(1000, ge=0, le=100_000, description="Draws of scans for the intervals; 0 for none.")
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = Field(20261122, ge=0, lt=2**32)


@dataclass(frozen=True)
class Scan:
    """What was found in one scan and what is there.

    Parameters
    ----------
    found, truth : Detections
        On the same image.  In ``truth``, ``ignore`` marks irrelevant findings; scores do not count.
    name : str
    """

    found: Detections
    truth: Detections
    name: str = ""


@dataclass(frozen=True)
class Event:
    """A candidate that counts."""

    scan: int
    score: float
    hit: bool


@dataclass(frozen=True)
class Froc:
    """The result.

    Parameters
    ----------
    rates, sensitivity : tuple of float
        Sensitivity at each number of false positives per scan.
    low, high : tuple of float or None
        Bounds of the confidence interval at each rate; None without intervals.
    cpm : float
        Mean sensitivity.
    cpm_interval : tuple of float, optional
    curve_fps, curve_sensitivity : tuple of float
        The whole curve from the strictest score on.
    curve_scores : tuple of float
        The score from which on candidates count at each point; the first point has none and holds infinity.
    scans, findings, ignored, candidates : int
        How many scans, findings that count, findings that do not, and candidates there were.
    """

    rates: tuple[float, ...]
    sensitivity: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    cpm: float
    cpm_interval: tuple[float, float] | None
    curve_fps: tuple[float, ...]
    curve_sensitivity: tuple[float, ...]
    curve_scores: tuple[float, ...]
    scans: int
    findings: int
    ignored: int
    candidates: int
    settings: FrocSettings

    def at_score(self, score: float) -> tuple[float, float]:
        """Return sensitivity and false positives per scan if only candidates of at least this score count."""
        last = max(n for n, value in enumerate(self.curve_scores) if value >= score)
        return self.curve_sensitivity[last], self.curve_fps[last]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        low, high = self.low or (None,) * len(self.rates), self.high or (None,) * len(self.rates)
        rows = zip(self.rates, self.sensitivity, low, high, strict=True)
        points = zip(self.curve_fps[1:], self.curve_sensitivity[1:], self.curve_scores[1:], strict=True)
        return {
            "schema": "medai.froc",
            "intended_use": "research use only, not for diagnosis",
            "source": "Setio et al., Medical Image Analysis 42 (2017)",
            "scans": self.scans,
            "findings": self.findings,
            "ignored": self.ignored,
            "candidates": self.candidates,
            "cpm": self.cpm,
            "cpm_interval": list(self.cpm_interval) if self.cpm_interval else None,
            "sensitivity": [
                {"false_positives_per_scan": rate, "sensitivity": s, "low": a, "high": b} for rate, s, a, b in rows
            ],
            "curve": [{"false_positives_per_scan": f, "sensitivity": s, "score": t} for f, s, t in points],
            "settings": self.settings.to_dict(),
        }


def froc(scans: Sequence[Scan], settings: FrocSettings | None = None) -> Froc:
    """Measure a detector on scans.

    Raises
    ------
    InputError
        If there are no scans, or no finding that counts in any of them.
    """
    chosen = settings or FrocSettings()
    if not scans:
        raise InputError("There are no scans to measure the detector on.")
    events: list[Event] = []
    wanted = np.zeros(len(scans), dtype=np.int64)
    ignored = 0
    for number, scan in enumerate(scans):
        kept, count = scan_events(scan, number, chosen)
        events += kept
        wanted[number] = count
        ignored += sum(item.ignore for item in scan.truth.items)
    if not wanted.sum():
        raise InputError("None of the scans holds a finding that counts.", hint="Give scans with findings as well.")
    order = sorted(events, key=lambda event: -event.score)
    ones = np.ones((1, len(scans)))
    fps, sensitivity, scores = _curves(order, wanted, ones)
    at = np.interp(RATES, fps[0], sensitivity[0])
    low, high, interval = _intervals(order, wanted, chosen)
    return Froc(
        RATES, tuple(map(float, at)), low, high, float(at.mean()), interval,
        tuple(map(float, fps[0])), tuple(map(float, sensitivity[0])), tuple(map(float, scores)),
        len(scans), int(wanted.sum()), ignored, sum(len(s.found) for s in scans), chosen,
    )  # fmt: skip


def scan_events(scan: Scan, number: int, settings: FrocSettings) -> tuple[list[Event], int]:
    """Return the candidates of a scan that count, and its number of findings that count.

    Each finding takes the best candidate on it; a candidate may be on several.  A candidate on none is a false
    positive.
    """
    hits = matches(scan.found, scan.truth, settings.match, settings.iou)
    scores = scan.found.scores()
    events = [Event(number, float(score), False) for score, row in zip(scores, hits, strict=True) if not row.any()]
    for column, item in enumerate(scan.truth.items):
        if not item.ignore and hits[:, column].any():
            events.append(Event(number, float(scores[hits[:, column]].max()), True))
    return events, sum(not item.ignore for item in scan.truth.items)


def _curves(
    events: list[Event], wanted: npt.NDArray[np.int64], weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return false positives per scan, sensitivity (draws, points) and scores (points); one draw a row of weights.

    A weight says how often a scan was drawn.  Candidates of equal score enter together.
    """
    scan = np.array([e.scan for e in events], dtype=np.int64)
    hit = np.array([e.hit for e in events], dtype=bool)
    score = np.array([e.score for e in events], dtype=np.float64)
    last = np.flatnonzero(np.diff(score, append=-np.inf)) if len(score) else np.zeros(0, dtype=np.int64)
    each = weights[:, scan]
    zero = np.zeros((len(weights), 1))
    fps = np.concatenate([zero, np.cumsum(each * ~hit, axis=1)[:, last]], axis=1) / weights.sum(axis=1)[:, None]
    total = weights @ wanted
    found = np.concatenate([zero, np.cumsum(each * hit, axis=1)[:, last]], axis=1)
    return fps, found / np.maximum(total, 1)[:, None], np.concatenate([[np.inf], score[last]])


def _intervals(
    events: list[Event], wanted: npt.NDArray[np.int64], settings: FrocSettings
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None, tuple[float, float] | None]:
    """Return percentile bounds over draws of scans; nothing for a single scan.  Draws without findings are left out."""
    count = len(wanted)
    if count < 2 or not settings.resamples:
        return None, None, None
    generator = np.random.default_rng(settings.seed)
    draws = generator.multinomial(count, np.full(count, 1 / count), settings.resamples).astype(np.float64)
    draws = draws[draws @ wanted > 0]
    rows = []
    # In parts, so that many candidates and many draws do not make a huge table.
    step = max(1, 4_000_000 // max(1, len(events)))
    for start in range(0, len(draws), step):
        fps, sensitivity, _ = _curves(events, wanted, draws[start : start + step])
        rows += [np.interp(RATES, x, y) for x, y in zip(fps, sensitivity, strict=True)]
    table = np.array(rows)
    tail = 100 * (1 - settings.confidence) / 2
    low, high = np.percentile(table, [tail, 100 - tail], axis=0)
    mean = np.percentile(table.mean(axis=1), [tail, 100 - tail])
    return tuple(map(float, low)), tuple(map(float, high)), (float(mean[0]), float(mean[1]))
