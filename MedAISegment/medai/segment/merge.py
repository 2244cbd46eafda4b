"""Put new segments together with those made so far."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.labelmap import MAX_LABEL, LabelMap
from medai.core.qc import QCFlag, Severity

Merge = Literal["replace", "over", "under"]


def merged(before: LabelMap | None, new: LabelMap, how: Merge) -> LabelMap:
    """Return the new labels, alone or together with those made before.

    Parameters
    ----------
    before : LabelMap or None
        The labels so far, on the same grid.
    new : LabelMap
        What a segmenter made.
    how : {"replace", "over", "under"}
        ``replace`` drops the segments so far; ``over`` lays the new ones over them; ``under`` fills only voxels that no
        segment has yet.  New segments get the next free labels; a segment of a name that exists replaces its namesake.
        One that others cover completely stays, with the flag ``MASK_EMPTY``.

    Raises
    ------
    GeometryError
        If the grids differ.
    InputError
        If there are too many segments.
    """
    if before is None or how == "replace":
        return new
    before.geometry.require_same(new.geometry, "new segments")
    names = {segment.name for segment in new.segments}
    kept = tuple(segment for segment in before.segments if segment.name not in names)
    old: npt.NDArray[Any] = before.array
    if len(kept) < len(before.segments):
        keep = np.zeros(max(s.label for s in before.segments) + 1, dtype=old.dtype)
        for segment in kept:
            keep[segment.label] = segment.label
        old = keep[old]
    shift = max((s.label for s in kept), default=0)
    highest = shift + max((s.label for s in new.segments), default=0)
    if highest > MAX_LABEL:
        raise InputError(f"There would be segments up to label {highest}; at most {MAX_LABEL} is possible.")
    dtype = np.uint8 if highest < 256 else np.uint16
    # Labels 1, 2, ... become shift + 1, shift + 2, ...
    moved = np.arange(max((s.label for s in new.segments), default=0) + 1)
    moved[1:] += shift
    added = moved.astype(dtype)[new.array]
    first, second = (added, old) if how == "over" else (old, added)
    array = np.where(first > 0, first, second).astype(dtype, copy=False)
    segments = kept + tuple(s.relabelled(s.label + shift) for s in new.segments)
    # What was noticed about a segment that is replaced says nothing about its namesake.
    flags = tuple(f for f in before.flags if f.affects not in names)
    flags += tuple(f for f in new.flags if f not in flags)
    made = LabelMap(array, new.geometry, segments, flags, {**before.meta, **new.meta})
    counts, told = made.counts(), {f.affects for f in flags if f.code == "MASK_EMPTY"}
    covered = tuple(
        QCFlag("MASK_EMPTY", Severity.WARNING, f"Other segments cover all of {s.name!r}.", affects=s.name)
        for s in segments
        if not counts[s.label] and s.name not in told
    )
    return made.replace(flags=flags + covered) if covered else made
