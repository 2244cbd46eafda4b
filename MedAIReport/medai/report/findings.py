"""Findings: what the feature table and the label map say about each segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from medai.core.errors import InputError, ReportError
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume
from medai.features import FeatureTable
from medai.features.volumetry import FAMILY

from .boxes import Box, find_boxes
from .colors import hex_color
from .figures import MAX_SEGMENTS, Illustrator
from .model import CodedConcept, Finding
from .quantity import Quantity

VOLUME, DIAMETER, MEAN, SD = "voxel_volume", "maximum_3d_diameter", "mean", "standard_deviation"
LEFT, RIGHT = ("7771000", "SCT"), ("24028007", "SCT")
"""SNOMED CT codes of the sides."""


def make_findings(
    volume: Volume,
    labels: LabelMap,
    features: FeatureTable,
    *,
    pictures: bool,
    progress: ProgressFn,
    cancel: CancelToken,
) -> tuple[Finding, ...]:
    """Return one finding a segment, in the order of the label map.

    Parameters
    ----------
    pictures : bool
        False leaves the key images out.

    Raises
    ------
    ReportError
        If the table measures a segment that the label map does not have.
    Cancelled
        If somebody asked to stop.
    """
    # Derived volumes belong to wholes that segments make up.
    measured = {row.segment for row in features.rows if row.family != FAMILY}
    unknown = sorted(measured - {s.name for s in labels.segments})
    if unknown:
        raise ReportError(
            f"The feature table measures the segment {unknown[0]!r}, which the segmentation does not have.",
            hint="Measure this segmentation again.",
        )
    boxes = find_boxes(labels)
    shown = _largest(labels, boxes, MAX_SEGMENTS) if pictures else set()
    planes = 1 if min(volume.geometry.shape) == 1 else 3
    artist = Illustrator(volume, labels, planes * len(shown))
    probabilities = _probabilities(labels.meta)
    findings = []
    for index, segment in enumerate(labels.segments):
        cancel.check()
        progress(index / len(labels.segments), f"Key images: {segment.name}")
        box = boxes.get(segment.label)
        images = artist.illustrate(segment, box) if box is not None and segment.label in shown else ()
        color = hex_color(artist.colors[segment.label])
        note = ""
        if pictures and box is not None and not images:
            note = f"No key images: they are drawn for the {MAX_SEGMENTS} largest segments only."
        findings.append(
            Finding(
                segment=segment.name,
                label=segment.label,
                color=color,
                status="measured" if box is not None else "empty",
                side=side_of(segment),
                category=_concept(segment.category),
                type=_concept(segment.type),
                modifier=_concept(segment.modifier),
                volume=_volume(labels, features, segment),
                longest_diameter=quantity_of(features, segment.name, DIAMETER),
                mean=quantity_of(features, segment.name, MEAN),
                sd=quantity_of(features, segment.name, SD),
                probability=probabilities.get(segment.name),
                components=box.components(labels, segment) if box is not None else 0,
                touches_border=box is not None and box.touches_border(labels),
                images=images,
                note=note,
            )
        )
    return tuple(findings)


def side_of(segment: Segment) -> Literal["left", "right", "not stated"]:
    """Return the side that a segment's modifier states."""
    code = (segment.modifier.value, segment.modifier.scheme) if segment.modifier else None
    return "left" if code == LEFT else "right" if code == RIGHT else "not stated"


def quantity_of(features: FeatureTable, segment: str, feature: str) -> Quantity | None:
    """Return a table's number as a quantity; None if the table has none of that name."""
    try:
        row = features.row(segment, feature)
    except InputError:
        return None
    return Quantity.of(row.value, row.unit, row.reason)


def _volume(labels: LabelMap, features: FeatureTable, segment: Segment) -> Quantity:
    measured = quantity_of(features, segment.name, VOLUME)
    if measured is not None:
        return measured
    # Without the shape family in the table the volume is still counted, the same way.
    return Quantity.of(labels.volumes_ml()[segment.name] * 1000.0, "mm3")


def _concept(code: Code | None) -> CodedConcept | None:
    return CodedConcept(value=code.value, scheme=code.scheme, meaning=code.meaning) if code else None


def _largest(labels: LabelMap, boxes: Mapping[int, Box], count: int) -> set[int]:
    counts = labels.counts()
    return set(sorted(boxes, key=lambda label: (-counts[label], label))[:count])


def _probabilities(meta: Mapping[str, Any]) -> dict[str, Quantity]:
    """Read each segment's mean class probability from what the U-Net segmenter wrote into the label map."""
    found: dict[str, Quantity] = {}
    regions = meta.get("regions")
    for region in regions if isinstance(regions, (list, tuple)) else ():
        labels = region.get("labels") if isinstance(region, Mapping) else None
        for name, facts in labels.items() if isinstance(labels, Mapping) else ():
            value = facts.get("mean_probability") if isinstance(facts, Mapping) else None
            if isinstance(value, (int, float)) and np.isfinite(value):
                found[str(name)] = Quantity.of(100.0 * float(value), "%")
    return found
