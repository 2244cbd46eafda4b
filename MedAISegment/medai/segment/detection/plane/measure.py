"""Measuring a stored Mask R-CNN on images with known instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from medai.core.errors import InputError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ...manifest import LabelEntry
from ..froc import FrocSettings, Scan, froc
from ..result import Detections
from .ap import average_precision
from .dataset import Entry, read_pair
from .findings import truth_of
from .settings import SHOWN

LOW_SCORE = 0.05
"""From this score on findings are ranked; a curve needs those that nobody would show."""


def measure(
    entries: Sequence[Entry],
    classes: Sequence[LabelEntry],
    find: Callable[[Volume], Detections],
    *,
    resamples: int = 500,
    progress: ProgressFn,
    cancel: CancelToken,
) -> dict[str, Any]:
    """Return AP of boxes and masks, FROC, and what the default score gives.

    Parameters
    ----------
    entries : sequence of Entry
        Images with their masks.
    find : callable
        The detector, with a low score threshold (:data:`LOW_SCORE`).
    resamples : int
        Draws of images for the intervals.

    Returns
    -------
    dict
        ``images``, ``instances``; ``boxes`` and ``masks`` (each :class:`~.ap.AveragePrecision`); ``froc`` (sensitivity
        at false positives per image; a finding is found if the box' centre lies within half its diameter); ``at_score``
        (sensitivity and false positives per image at the default score).  Only ``images`` if none holds an instance.

    Raises
    ------
    InputError
        If there are no images.
    """
    if not entries:
        raise InputError("There are no images to measure the model on.")
    scans = []
    for index, entry in enumerate(entries):
        cancel.check()
        volume, labels = read_pair(entry)
        truth = truth_of(labels, classes, entry.classes, entry.name)
        scans.append(Scan(find(volume), truth, entry.name))
        progress((index + 1) / len(entries), f"measuring {entry.name}")
    if not any(len(scan.truth) for scan in scans):
        return {"images": len(scans), "instances": 0}
    curve = froc(scans, FrocSettings(resamples=resamples))
    sensitivity, false_positives = curve.at_score(SHOWN)
    told = curve.to_dict()
    result: dict[str, Any] = _rounded(
        {
            "images": len(scans),
            "instances": sum(len(scan.truth) for scan in scans),
            "boxes": average_precision(scans, "boxes", resamples=resamples).to_dict(),
            "masks": average_precision(scans, "masks", resamples=resamples).to_dict(),
            "froc": {key: told[key] for key in ("cpm", "cpm_interval", "sensitivity")},
            "at_score": {
                "score": SHOWN,
                "sensitivity": sensitivity,
                "false_positives_per_image": false_positives,
            },
        }
    )
    return result


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
