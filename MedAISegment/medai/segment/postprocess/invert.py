"""What belongs to no segment."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.anatomy import named
from medai.segment.components import looked_up

from ._base import Post, SegmentsSettings, chosen
from ._masks import finished
from ._naming import free_labels, require_free


class InvertSettings(SegmentsSettings):
    """What is inverted, and the name of the result."""

    name: str = Field("Rest", min_length=1, max_length=64, title="Name", description="Name of the new segment.")
    keep: bool = Field(True, title="Keep", description="False: the segments that are inverted are dropped.")
    overwrite: bool = Field(
        False, title="Overwrite", description="True: segments that are not inverted become part of the rest."
    )


class Invert(Post):
    """Makes a new segment of the rest of the image: every voxel that is in none of the segments named.

    Voxels of segments that are not named keep them, unless ``overwrite`` is set.
    """

    name = "invert"
    title = "Invert"
    group = "Segments"
    Settings = InvertSettings

    def apply(
        self, value: LabelMap, settings: InvertSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Make the segment of the rest.

        Raises
        ------
        InputError
            If there is no segment of a name, or the new name is taken.
        """
        parts = chosen(value, settings.segments)
        kept = value.segments if settings.keep else tuple(s for s in value.segments if s not in parts)
        require_free(kept, settings.name, "Choose another name.")
        rest = named(free_labels(value.segments, 1)[0], settings.name)
        progress(0.5, self.title)
        cancel.check()
        highest = max([s.label for s in value.segments] + [rest.label])
        table = np.arange(highest + 1, dtype=np.uint8 if highest < 256 else np.uint16)
        table[0] = rest.label
        for segment in value.segments:
            if segment in parts:
                table[segment.label] = segment.label if settings.keep else 0
            elif settings.overwrite:
                table[segment.label] = rest.label
        return finished(value, looked_up(table, value.array), (*kept, rest))
