"""Segments dropped."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.components import looked_up

from ._base import Post, SegmentsSettings, chosen
from ._masks import finished


class RemoveSettings(SegmentsSettings):
    """Which segments."""

    segments: tuple[str, ...] = Field(
        (), max_length=1000, title="Segments", description="Names of the segments; none means those that are empty."
    )
    others: bool = Field(False, title="All others", description="True: drop every segment but these.")


class Remove(Post):
    """Drops segments; their voxels become background.  The other segments keep their labels."""

    name = "remove"
    title = "Remove segments"
    group = "Segments"
    Settings = RemoveSettings

    def apply(
        self, value: LabelMap, settings: RemoveSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Drop the segments.

        Raises
        ------
        InputError
            If there is no segment of a name.
        """
        counts = value.counts()
        if settings.segments:
            named = set(chosen(value, settings.segments))
        else:
            named = {segment for segment in value.segments if not counts[segment.label]}
        kept = tuple(segment for segment in value.segments if (segment in named) == settings.others)
        progress(0.5, self.title)
        cancel.check()
        table = np.zeros(max([s.label for s in value.segments], default=0) + 1, dtype=value.array.dtype)
        for segment in kept:
            table[segment.label] = segment.label
        return finished(value, looked_up(table, value.array), kept)
