"""From scans and a recipe to a measured detector's folder; from a detector and test sets to numbers and pictures."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medai.core.atomic import ensure_folder, write_text
from medai.core.csvtext import write_csv
from medai.core.io import write_labelmap
from medai.core.new_folder import require_new_folder
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from .crops import CropSamples
from .export import write_detector
from .figure import draw_froc
from .froc import FrocSettings
from .markups import write_markups
from .measure import Measured, measure_detector
from .model import DetectorModel
from .recipe import DetectorRecipe
from .result import Detections
from .samples import Source, WindowSamples
from .testsets import DetectionTest
from .training import train_boxes, train_masks


def train_detector(
    recipe: DetectorRecipe,
    sources: Sequence[Source],
    tests: Sequence[DetectionTest],
    out: str | Path,
    *,
    about: str,
    work: str | Path | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Train both stages, store the detector and measure it with the weights as stored.

    Parameters
    ----------
    sources : sequence
        Backgrounds in which nodules are planted, or labelled scans.
    tests : sequence of DetectionTest
        What training has not seen.
    out : path
        The new folder; it appears complete or not at all.
    about : str
        What the sources are, for the card.
    work : path, optional
        Folder for checkpoints: a training that was stopped goes on from there.

    Returns
    -------
    dict
        The metrics that manifest and card show, by test.
    """
    token = cancel or CancelToken()
    require_new_folder(out)
    place = ensure_folder(work) if work is not None else None
    split = 0.6 if recipe.mask is not None else 0.85
    boxes = train_boxes(
        WindowSamples(sources, recipe), checkpoint=place / "boxes.pt" if place else None,
        progress=sub_progress(progress, 0.0, split), cancel=token,
    )  # fmt: skip
    masks = None
    if recipe.mask is not None:
        masks = train_masks(
            CropSamples(sources, recipe), checkpoint=place / "masks.pt" if place else None,
            progress=sub_progress(progress, split, 0.85), cancel=token,
        )  # fmt: skip
    seconds = boxes.seconds + (masks.seconds if masks else 0)
    losses = {"boxes": [round(x, 6) for x in boxes.losses]}
    if masks is not None:
        losses["masks"] = [round(x, 6) for x in masks.losses]
    history = {"sources": about, "losses": losses, "minutes": round(seconds / 60, 1), "software": software()}
    result: dict[str, Any] = {}

    def measure(model: DetectorModel) -> dict[str, Any]:
        result.update(measure_all(model, tests, progress=sub_progress(progress, 0.85, 1.0), cancel=token)[0])
        return result

    write_detector(recipe, boxes, masks, out, history=history, measure=measure)
    return result


def measure_all(
    model: DetectorModel,
    tests: Sequence[DetectionTest],
    settings: FrocSettings | None = None,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[dict[str, Any], dict[str, Measured]]:
    """Measure a detector on test sets; return JSON-ready values and the results themselves, by the sets' names."""
    values: dict[str, Any] = {}
    found: dict[str, Measured] = {}
    for number, test in enumerate(tests):
        part = sub_progress(progress, number / len(tests), (number + 1) / len(tests))
        measured = measure_detector(model, test.scans(), test.count, settings, progress=part, cancel=cancel)
        found[test.name] = measured
        values[test.name] = {"about": test.about, **measured.to_dict()}
    return values, found


def write_measured(
    values: Mapping[str, Any], found: Mapping[str, Measured], folder: str | Path, *, title: str
) -> list[Path]:
    """Write ``froc.json``, and for each set a picture of the curve and a table of its findings."""
    place = ensure_folder(folder)
    files = [place / "froc.json"]
    write_text(files[0], json.dumps(dict(values), indent=2, allow_nan=False) + "\n")
    for name, measured in found.items():
        stem = "".join(c if c.isalnum() else "_" for c in name)[:60]
        files += [place / f"froc_{stem}.png", place / f"findings_{stem}.csv"]
        draw_froc(measured.froc, files[-2], f"{title}: {name}"[:80])
        write_csv(measured.table(), files[-1])
    return files


def write_findings(found: Detections, folder: str | Path) -> list[Path]:
    """Write a detection: ``findings.json``, ``findings.csv``, ``rois/*.mrk.json``, and the masks if there are some.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    place = ensure_folder(folder)
    rois = ensure_folder(place / "rois")
    files = [place / "findings.json", place / "findings.csv"]
    write_text(files[0], json.dumps(found.to_dict(), indent=2, allow_nan=False) + "\n")
    write_csv(found.to_table(), files[1])
    for old in rois.glob("finding_*.mrk.json"):
        old.unlink()
    files += write_markups(found, rois)
    if found.masks is not None:
        for name in ("masks.nii.gz", "masks.seg.nrrd"):
            write_labelmap(found.masks, place / name)
            files.append(place / name)
    return files


def software() -> dict[str, str]:
    """Return the versions of the packages that a training depends on."""
    return {name: importlib.metadata.version(name) for name in ("torch", "monai", "numpy", "scipy", "SimpleITK")}
