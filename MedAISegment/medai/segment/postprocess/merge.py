"""Several segments made one."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.anatomy import named
from medai.segment.components import looked_up

from ._base import Post, SegmentsSettings, chosen
from ._masks import finished
from ._naming import require_free


class MergeSettings(SegmentsSettings):
    """Which segments, and the name of the result."""

    name: str = Field(
        "", max_length=64, title="Name", description="Name of the result; empty for the name of the first segment."
    )


class Merge(Post):
    """Makes several segments one; it takes the first one's place and label.

    Under the first one's name it keeps that one's codes and colour, under another name it gets those of the name.
    """

    name = "merge"
    title = "Merge segments"
    group = "Segments"
    Settings = MergeSettings

    def apply(self, value: LabelMap, settings: MergeSettings, *, progress: ProgressFn, cancel: CancelToken) -> LabelMap:
        """Merge the segments.

        Raises
        ------
        InputError
            If there is no segment of a name, or another segment has the result's name.
        """
        parts = chosen(value, settings.segments)
        if not parts:
            return finished(value, value.array)
        others = tuple(segment for segment in value.segments if segment not in parts)
        target = parts[0]
        if settings.name and settings.name != target.name:
            require_free(others, settings.name, "Choose another name.")
            target = named(target.label, settings.name)
        progress(0.5, self.title)
        cancel.check()
        table = np.arange(max(s.label for s in value.segments) + 1, dtype=value.array.dtype)
        table[[segment.label for segment in parts]] = target.label
        segments = tuple(
            target if segment == parts[0] else segment for segment in value.segments if segment not in parts[1:]
        )
        return finished(value, looked_up(table, value.array), segments, {part.name: (target.name,) for part in parts})
