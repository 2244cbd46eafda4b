"""The numbers that a model's domain limits judge, measured in a whole image or in one box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.qc import QCFlag

from ..domain import DomainLimit, judge, weighted_probability
from ..manifest import Manifest
from .border import border_cm2

Found = npt.NDArray[Any]


def image_domain(labels: LabelMap, manifest: Manifest) -> tuple[list[dict[str, Any]], list[QCFlag]]:
    """Judge what a model found in a whole image.

    Parameters
    ----------
    labels : LabelMap
        On the image's grid, with the facts of :func:`~medai.segment.inference.run.run_model` as ``meta``.

    Returns
    -------
    facts : list of dict
        Every limit of the manifest with its measured value.
    flags : list of QCFlag
    """
    if not manifest.domain:
        return [], []
    volumes = labels.volumes_ml()
    regions = [region["labels"] for region in labels.meta.get("regions", ())]
    measured: list[float | None] = []
    for limit in manifest.domain:
        names = limit.labels or tuple(entry.name for entry in manifest.labels)
        if limit.measure == "volume_ml":
            measured.append(sum(volumes.get(name, 0.0) for name in names))
        elif limit.measure == "probability":
            joined = {f"{number} {name}": fact for number, r in enumerate(regions) for name, fact in r.items()}
            chosen = tuple(key for key in joined if key.partition(" ")[2] in names)
            measured.append(weighted_probability(joined, chosen, "voxels") if chosen else None)
        elif limit.measure == "border_cm2":
            numbers = [entry.label for entry in manifest.labels if entry.name in names]
            measured.append(border_cm2(np.isin(labels.array, numbers), labels.geometry))
        else:
            measured.append(None)
    return judge(manifest.domain, measured)


def box_domain(
    facts: Mapping[str, Any], found: Found, grid: Geometry, again: tuple[Found, Geometry] | None, manifest: Manifest
) -> tuple[list[dict[str, Any]], list[QCFlag]]:
    """Judge what a model found in one box.

    Parameters
    ----------
    facts : mapping
        Of the box, as :class:`~medai.segment.inference.canvas.Canvas` gives them.
    found : array of int, shape (K, J, I)
        Class of each voxel of the box, 0 for background, n for the n-th label of the manifest.
    grid : Geometry
        The box.
    again : tuple of array and Geometry, optional
        The same of a shifted box; the two grids share their lattice.

    Returns
    -------
    facts : list of dict
    flags : list of QCFlag
    """
    labels = {fact["model_label"]: fact for fact in facts["labels"].values()}
    measured: list[float | None] = []
    for limit in manifest.domain:
        classes = _classes(limit, manifest)
        if limit.measure == "volume_ml":
            names = limit.labels or tuple(labels)
            measured.append(sum(labels[name]["volume_ml"] for name in names))
        elif limit.measure == "probability":
            measured.append(weighted_probability(labels, limit.labels, "volume_ml"))
        elif limit.measure == "border_cm2":
            measured.append(border_cm2(np.isin(found, classes), grid))
        else:
            measured.append(None if again is None else dice_of_boxes(found, grid, *again, classes))
    return judge(manifest.domain, measured, facts["side"] or "image")


def needs_repeat(manifest: Manifest) -> bool:
    """Tell whether a limit asks for a second run in a shifted box."""
    return any(limit.measure == "repeat_dice" for limit in manifest.domain)


def _classes(limit: DomainLimit, manifest: Manifest) -> list[int]:
    return [n for n, e in enumerate(manifest.labels, start=1) if not limit.labels or e.name in limit.labels]


def dice_of_boxes(first: Found, grid: Geometry, second: Found, other: Geometry, classes: list[int]) -> float | None:
    """Return the Dice of the classes of two boxes where both lie; None if neither shows any of them there.

    A voxel agrees if both give it the same class of those that count.

    Parameters
    ----------
    first, second : array of int, shape (K, J, I)
        Classes.
    grid, other : Geometry
        Their grids, apart by whole voxels.
    """
    k, j, i = (round(float(v)) for v in grid.to_ijk(other.origin)[::-1])
    mine, theirs = [], []
    for offset, size, length in zip((k, j, i), first.shape, second.shape, strict=True):
        low, high = max(offset, 0), min(offset + length, size)
        mine.append(slice(low, max(low, high)))
        theirs.append(slice(low - offset, max(low, high) - offset))
    a, b = first[tuple(mine)], second[tuple(theirs)]
    counted, seen = np.isin(a, classes), np.isin(b, classes)
    total = int(np.count_nonzero(counted)) + int(np.count_nonzero(seen))
    return 2.0 * int(np.count_nonzero(counted & (a == b))) / total if total else None
