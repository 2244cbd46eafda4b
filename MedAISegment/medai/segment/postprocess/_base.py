"""What every label operation is: a step from LabelMap to LabelMap on the same grid."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap, Segment
from medai.core.settings import Settings
from medai.core.step import Step


class SegmentsSettings(Settings):
    """Which segments an operation works on; the base of most label operations' settings."""

    segments: tuple[str, ...] = Field(
        (), max_length=1000, title="Segments", description="Names of the segments to work on; none means all of them."
    )


class Post(Step[LabelMap, LabelMap]):
    """A label operation: repairs, splits or combines segments."""

    group: ClassVar[str] = "Labels"
    """Heading under which a chooser shows the step."""
    weight: ClassVar[float] = 1.0
    """Share of a pipeline's progress bar, relative to other steps."""


def chosen(labels: LabelMap, names: tuple[str, ...]) -> tuple[Segment, ...]:
    """Return the segments called ``names`` in that order, or all of them if there are no names.

    Raises
    ------
    InputError
        If there is no segment of a name.
    """
    if len(set(names)) != len(names):
        raise InputError("A segment is named twice.", hint="Name each segment once.")
    return tuple(labels.segment(name) for name in names) if names else labels.segments
