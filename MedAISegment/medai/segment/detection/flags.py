"""Flags that a detection deserves: an image the detector was not made for, findings at the border."""

from __future__ import annotations

from collections.abc import Sequence

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from ..hu import hu_flags
from .manifest import DetectorManifest
from .result import Detection


def image_flags(volume: Volume, manifest: DetectorManifest, cancel: CancelToken) -> list[QCFlag]:
    """Compare an image with what the detector was made for.

    Returns
    -------
    list of QCFlag
        ``MODALITY_MISMATCH`` (an error), ``INT_RANGE_NOT_HU``, ``GEOM_SPACING_OUT_OF_MODEL_RANGE``, ``DOMAIN_OOD`` (a
        single slice; it is padded, not refused).
    """
    d = manifest.description
    flags: list[QCFlag] = []
    if d.modality and volume.modality and volume.modality != d.modality:
        text = f"The detector is made for {d.modality}, the image is {volume.modality}."
        flags.append(QCFlag("MODALITY_MISMATCH", Severity.ERROR, text, volume.modality, d.modality))
    elif d.modality == "CT":
        flags += hu_flags(volume, cancel)
    low, high = d.spacing_range_mm
    for value in sorted({min(volume.geometry.spacing), max(volume.geometry.spacing)}):
        if not low <= value <= high:
            text = f"Voxels of {value:.3g} mm lie outside the {low:g} to {high:g} mm for which the detector was tried."
            limit = low if value < low else high
            flags.append(QCFlag("GEOM_SPACING_OUT_OF_MODEL_RANGE", Severity.WARNING, text, value, limit))
    if min(volume.geometry.shape) == 1:
        text = "The image has a single slice, the detector is three-dimensional: it sees padding instead of neighbours."
        flags.append(QCFlag("DOMAIN_OOD", Severity.WARNING, text, 1, 2))
    return flags


def border_flags(items: Sequence[Detection], geometry: Geometry) -> list[QCFlag]:
    """Flag findings whose box reaches the image's border: their size is not to be trusted."""
    size = geometry.size
    count = sum(any(a <= 0 or b >= n for a, b, n in zip(item.low, item.high, size, strict=True)) for item in items)
    if not count:
        return []
    text = f"{count} of the findings touch the image's border; they may reach further than the image."
    return [QCFlag("FOV_CLIPPED", Severity.WARNING, text, count, 0)]
