"""What a segmenter says about a segment without voxels."""

from __future__ import annotations

from medai.core.labelmap import LabelMap
from medai.core.qc import QCFlag, Severity


def empty_flags(labels: LabelMap, message: str) -> tuple[QCFlag, ...]:
    """Return the flag ``MASK_EMPTY`` for each segment without voxels, with ``message`` as the reason."""
    counts = labels.counts()
    return tuple(
        QCFlag("MASK_EMPTY", Severity.WARNING, message, affects=segment.name)
        for segment in labels.segments
        if not counts[segment.label]
    )
