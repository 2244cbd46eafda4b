"""Regions from segments: a model of whole images finds a structure, and what it found is checked before it is used."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from ..manifest import LocatorHint, Manifest, RegionHint, Side
from ..models.info import ModelInfo
from .border import border_cm2
from .facts import model_facts
from .locate import place
from .options import InferenceOptions
from .regions import Region
from .sides import Place, place_of, side_flags


@dataclass(frozen=True)
class Found:
    """Regions that were found, and what is known about them.

    Parameters
    ----------
    regions : tuple of Region
        One a side that was found.
    missing : tuple of str
        Sides on which nothing plausible was found.
    flags : tuple of QCFlag
        Of severity ERROR where the regions are not to be believed.
    facts : dict
        JSON-ready, for ``meta["locator"]``.
    """

    regions: tuple[Region, ...]
    missing: tuple[Side, ...] = ()
    flags: tuple[QCFlag, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def has_segments(labels: LabelMap | None, hint: LocatorHint | None) -> bool:
    """Tell whether segments of the locator's names are among those made so far, at least one of them with voxels."""
    if labels is None or hint is None:
        return False
    counts = labels.counts()
    return any(counts[s.label] for s in labels.segments if s.name in hint.labels.values())


def locate(
    locator: ModelInfo, volume: Volume, manifest: Manifest, options: InferenceOptions, *, progress: ProgressFn,
    cancel: CancelToken,
) -> tuple[Found, LabelMap]:  # fmt: skip
    """Run the model that finds the structure on the whole image.

    Parameters
    ----------
    locator : ModelInfo
        The model that ``manifest.region.locator`` names.
    options : InferenceOptions
        Those of the model that works in the regions; device, backend, precision and batch are taken over.

    Returns
    -------
    found : Found
        The regions; ``facts`` names the model, its device and its seconds.
    labels : LabelMap
        All that the locator found, on the image's grid.

    Raises
    ------
    InputError
        If a label that the manifest names is not one of the locator's.
    """
    from .run import run_model

    began = time.monotonic()
    kept = {name: getattr(options, name) for name in ("device", "backend", "precision", "batch")}
    plain = InferenceOptions(**kept)
    labels = run_model(locator, volume, plain, progress=sub_progress(progress, 0.0, 0.95), cancel=cancel).labels
    found = regions_from(labels, manifest, cancel=cancel)
    ran = labels.meta.get("inference", {})
    facts = {
        "model": model_facts(locator),
        "device": labels.meta.get("device"),
        "backend": ran.get("backend"),
        **{key: labels.meta[key] for key in ("domain", "trust") if key in labels.meta},
        **found.facts,
        "seconds": round(time.monotonic() - began, 3),
    }
    # What concerns the image concerns the refined structure too; what concerns the locator's own segments does not.
    flags = tuple(f for f in labels.flags if f.affects == "image" and f.code != "GEOM_SPACING_OUT_OF_MODEL_RANGE")
    progress(1.0, "located the structure")
    return Found(found.regions, found.missing, tuple(dict.fromkeys((*flags, *found.flags))), facts), labels


def regions_from(labels: LabelMap, manifest: Manifest, *, cancel: CancelToken) -> Found:
    """Return the boxes in which segments lie as the structure lies in the model's training crops.

    The largest part of each segment counts.  Sides are the patient's: they come from the segments' names, and their
    positions are compared with them in RAS, so that they do not depend on how the image is stored.

    Raises
    ------
    InputError
        If the model names no locator, or none of its segments is there.
    """
    region = manifest.region
    hint = region.locator if region is not None else None
    if region is None or hint is None:
        raise InputError(
            f"The model {manifest.id!r} does not say which segments show where its structure lies.",
            hint="Use regions 'atlas' or 'image', or give the boxes.",
        )
    known = {segment.name for segment in labels.segments}
    lacking = [name for name in hint.labels.values() if name not in known]
    if len(lacking) == len(hint.labels):
        raise InputError(
            f"There is no segment called {lacking[0]!r} that shows where the structure lies.",
            hint=f"Run the model {hint.model!r} before, or use regions 'auto'.",
        )
    places: dict[Side, Place] = {}
    facts: dict[str, Any] = {"segments": {}}
    flags: list[QCFlag] = []
    for side, name in sorted(hint.labels.items()):
        cancel.check()
        found = place_of(labels, labels.segment(name)) if name in known else None
        facts["segments"][name] = found.to_dict() if found is not None else None
        problem = _problem(labels, hint, name, found)
        if problem is not None:
            flags.append(problem)
        if found is not None and found.volume_ml >= hint.volume_ml[0]:
            places[side] = found
    flags += side_flags(labels, hint, places, facts)
    regions = tuple(
        place(region, side, where.centroid, mirrored=manifest.description.mirrors(side))
        for side, where in places.items()
    )
    missing = tuple(side for side in sorted(hint.labels) if side not in places)
    return Found(regions, missing, tuple(flags), facts)


def _problem(labels: LabelMap, hint: LocatorHint, name: str, found: Place | None) -> QCFlag | None:
    """Say why a segment cannot be the whole structure: too small, too large, or cut by the image's border."""
    volume = 0.0 if found is None else found.volume_ml
    low, high = hint.volume_ml
    if not low <= volume <= high:
        text = f"{name}: the model {hint.model} finds {volume:.2f} mL, plausible are {low:g} to {high:g} mL."
        return QCFlag("FOV_ORGAN_ABSENT", Severity.ERROR, text, volume, low if volume < low else high, name)
    area = border_cm2(labels.array == labels.segment(name).label, labels.geometry)
    if area > hint.border_cm2:
        text = f"{name} meets the border of the image in {area:.2f} cm2: a part of it is not in the image."
        return QCFlag("FOV_ORGAN_ABSENT", Severity.ERROR, text, area, hint.border_cm2, name)
    return None


def unions(labels: LabelMap, wanted: Mapping[str, Sequence[str]]) -> LabelMap:
    """Return named unions of a label map's segments, without flags and facts.

    Parameters
    ----------
    wanted : mapping of str to sequence of str
        Name of the union -> names of its segments.  A segment in two unions goes to the first.

    Raises
    ------
    InputError
        If there is no segment of a name.
    """
    from ..anatomy import named

    highest = max((s.label for s in labels.segments), default=0)
    table = np.zeros(highest + 1, dtype=np.uint8 if len(wanted) < 256 else np.uint16)
    for number, names in enumerate(wanted.values(), start=1):
        for name in names:
            label = labels.segment(name).label
            table[label] = table[label] or number
    segments = tuple(named(number, name) for number, name in enumerate(wanted, start=1))
    return LabelMap(table[labels.array], labels.geometry, segments)


def named_locator(hint: RegionHint | None) -> str:
    """Return the id of the model that finds the structure, empty if there is none."""
    return hint.locator.model if hint is not None and hint.locator is not None else ""
