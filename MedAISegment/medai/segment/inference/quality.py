"""Flags that a segmentation by a model deserves: outside its domain, clipped, absent, implausible, unsure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from ..hu import hu_flags
from ..manifest import Manifest
from .prepare import FloatImage
from .regions import Box
from .trust import trust_flags


def image_flags(volume: Volume, manifest: Manifest, cancel: CancelToken | None = None) -> list[QCFlag]:
    """Compare an image with what the model was made for.

    Parameters
    ----------
    cancel : CancelToken, optional
        Polled while the image's smallest value is looked for.

    Returns
    -------
    list of QCFlag
        ``MODALITY_MISMATCH`` (of the model and all its channels), ``INT_RANGE_NOT_HU`` (the model scales by fixed
        Hounsfield units and the image seems to hold none), ``GEOM_SPACING_OUT_OF_MODEL_RANGE``, ``DOMAIN_OOD`` (a
        single slice for a three-dimensional model; it is padded, not refused).
    """
    d = manifest.description
    flags = _modality_flags(volume, manifest)
    if not flags and volume.modality in ("", "CT") and _reads_hu(manifest):
        flags += hu_flags(volume, cancel)
    low, high = d.spacing_range_mm
    for value in (min(volume.geometry.spacing), max(volume.geometry.spacing)):
        if not low <= value <= high:
            flags.append(
                QCFlag(
                    "GEOM_SPACING_OUT_OF_MODEL_RANGE",
                    Severity.WARNING,
                    f"Voxels of {value:.3g} mm lie outside the {low:g} to {high:g} mm for which the model was tried.",
                    value,
                    low if value < low else high,
                )
            )
    if manifest.inference.dims == 3 and min(volume.geometry.shape) == 1:
        flags.append(
            QCFlag(
                "DOMAIN_OOD",
                Severity.WARNING,
                "The image has a single slice, the model is three-dimensional: it sees padding instead of neighbours.",
                1,
                2,
            )
        )
    return flags


def _modality_flags(volume: Volume, manifest: Manifest) -> list[QCFlag]:
    """Flag an image of a modality that none of the model's channels expects."""
    general = manifest.description.modality
    wanted = [channel.modality or general for channel in manifest.prepare.channels] or [general]
    if not volume.modality or "" in wanted or volume.modality in wanted:
        return []
    names = " and ".join(dict.fromkeys(wanted))
    text = f"The model is made for {names}, the image is {volume.modality}."
    return [QCFlag("MODALITY_MISMATCH", Severity.ERROR, text, volume.modality, names)]


def _reads_hu(manifest: Manifest) -> bool:
    """Tell whether a CT channel is changed by fixed numbers, which are Hounsfield units then."""
    for channel in manifest.prepare.channels:
        if (channel.modality or manifest.description.modality) != "CT":
            continue
        if any(
            step.method in ("clip", "shift_scale") or (step.method == "range" and None not in (step.low, step.high))
            for step in channel.normalise
        ):
            return True
    return False


def segment_flags(facts: dict[str, Any], box: Box, scores: FloatImage, manifest: Manifest) -> list[QCFlag]:
    """Judge what was found in one region.

    Parameters
    ----------
    facts : dict
        Per label ``volume_ml``, ``model_label`` and what :func:`~medai.segment.inference.trust.trust_of` takes, as
        :class:`~medai.segment.inference.canvas.Canvas` writes them.
    scores : array, shape (classes, K, J, I)
        Class probabilities on the box.
    """
    flags = []
    found = np.argmax(scores, axis=0)
    for index, (name, fact) in enumerate(facts["labels"].items(), start=1):
        volume = fact["volume_ml"]
        if volume == 0:
            flags.append(
                QCFlag(
                    "FOV_ORGAN_ABSENT", Severity.WARNING, f"{name}: nothing was found in the region.", 0.0, affects=name
                )
            )
            continue
        flags += _volume_flags(name, volume, manifest.description.volume_range_ml.get(fact["model_label"]))
        flags += trust_flags({name: fact})
        if _touches_border(found == index, box):
            flags.append(
                QCFlag(
                    "FOV_CLIPPED",
                    Severity.WARNING,
                    f"{name} touches the border of its region or of the image.",
                    affects=name,
                )
            )
    return flags


def absent_flags(names: Iterable[str]) -> list[QCFlag]:
    """Flag segments for which there was no place to look: nothing is known about them."""
    return [
        QCFlag("FOV_ORGAN_ABSENT", Severity.ERROR, f"{name}: its place was not found in the image.", 0.0, affects=name)
        for name in names
    ]


def _volume_flags(name: str, volume: float, limits: tuple[float, float] | None) -> list[QCFlag]:
    """Flag a volume in mL outside the plausible ones."""
    if limits is None or limits[0] <= volume <= limits[1]:
        return []
    text = f"{name}: {volume:.2f} mL lies outside the plausible {limits[0]:g} to {limits[1]:g} mL."
    limit = limits[0] if volume < limits[0] else limits[1]
    return [QCFlag("VOL_IMPLAUSIBLE", Severity.WARNING, text, volume, limit, name)]


def _touches_border(mask: Any, box: Box) -> bool:
    edge = np.zeros(mask.shape, dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            view = np.moveaxis(edge, axis, 0)
            view[end] = True
    outside = ~box.inside
    if outside.any():
        from scipy.ndimage import binary_dilation

        edge |= binary_dilation(outside)
    return bool((mask & edge).any())


def found_flags(labels: LabelMap, manifest: Manifest) -> list[QCFlag]:
    """Judge what a model found in a whole image.

    Returns
    -------
    list of QCFlag
        ``MASK_EMPTY`` if nothing was found at all, ``VOL_IMPLAUSIBLE``, ``FOV_CLIPPED``.
    """
    counts = labels.counts()
    if not any(counts.values()):
        return [QCFlag("MASK_EMPTY", Severity.WARNING, "The model found nothing in this image.")]
    flags = []
    volumes = labels.volumes_ml()
    border = _on_the_border(labels)
    for segment in labels.segments:
        if not counts[segment.label]:
            continue
        name, volume = segment.name, volumes[segment.name]
        flags += _volume_flags(name, volume, manifest.description.volume_range_ml.get(name))
        if segment.label in border:
            flags.append(QCFlag("FOV_CLIPPED", Severity.INFO, f"{name} touches the border of the image.", affects=name))
    return flags


def _on_the_border(labels: LabelMap) -> set[int]:
    """Labels on the outer slices; an axis of one slice has no border."""
    found: set[int] = set()
    for axis, size in enumerate(labels.array.shape):
        if size > 1:
            for end in (0, -1):
                found |= set(np.unique(labels.array.take(end, axis)).tolist())
    return found - {0}
