"""New segments: labels that are free, names that are not taken twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from medai.core.errors import InputError
from medai.core.labelmap import MAX_LABEL, Segment
from medai.segment.anatomy import KNOWN, LEFT, RIGHT, named


def free_labels(segments: Sequence[Segment], count: int) -> list[int]:
    """Return the ``count`` smallest labels that no segment has.

    Raises
    ------
    InputError
        If there are too many segments.
    """
    taken = {segment.label for segment in segments}
    found: list[int] = []
    label = 0
    while len(found) < count:
        label += 1
        if label > MAX_LABEL:
            raise InputError(f"There are too many segments; at most {MAX_LABEL} are possible.")
        if label not in taken:
            found.append(label)
    return found


def require_free(segments: Sequence[Segment], name: str, hint: str) -> None:
    """Raise :class:`InputError` if one of the segments is called ``name``."""
    if any(segment.name == name for segment in segments):
        raise InputError(f"There is a segment called {name!r} already.", hint=hint)


def sided(segment: Segment, label: int, side: Literal["Left", "Right"]) -> Segment:
    """Return one side of a segment: 'Lung' becomes 'Left lung', with the side as the modifier of its type.

    A segment under a name that MedAI does not know keeps its own codes, and its right side a darker colour.
    """
    # 'Lung' loses its capital, 'CT body' keeps it.
    word = segment.name
    rest = word[:1].lower() + word[1:] if word[1:2].islower() else word
    name = f"{side} {rest}"
    if segment.name in KNOWN:
        return named(label, name)
    left = side == "Left"
    red, green, blue = (c if left else 0.75 * c for c in segment.color)
    return dataclasses.replace(
        segment, label=label, name=name, color=(red, green, blue), modifier=LEFT if left else RIGHT
    )
