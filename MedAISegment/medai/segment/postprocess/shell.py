"""Rims of segments."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.anatomy import named
from medai.segment.components import looked_up

from ._base import Post, chosen
from ._masks import GrowSettings, Within, finished, within_field
from ._naming import free_labels, require_free
from .dilate import Dilate
from .erode import Erode


class ShellSettings(GrowSettings):
    """Where the rim lies and how thick it is."""

    thickness_mm: float = Field(
        3.0,
        gt=0,
        le=100,
        title="Thickness",
        description="How far the rim reaches from the segment's surface, between voxel centres.",
        json_schema_extra={"unit": "mm"},
    )
    side: Literal["outside", "inside"] = Field(
        "outside",
        title="Side",
        description="A rim around the segment, or the segment's own outer layer, which the segment then loses.",
    )
    keep: bool = Field(True, title="Keep", description="False: the segments themselves are dropped, only rims stay.")
    within: Within = within_field()
    suffix: str = Field(
        "rim", min_length=1, max_length=32, title="Suffix", description="The rim of 'Liver' is called 'Liver rim'."
    )


class Shell(Post):
    """Makes a new segment of each segment's rim: what dilating adds, or what eroding takes away.

    An outer rim lies in the background, or with ``overwrite`` also in segments not worked on; between two segments each
    voxel belongs to the rim of the nearer.  Together with its segment, an inner rim is the segment as it was.
    """

    name = "shell"
    title = "Shell"
    group = "Shape"
    requires = ("scipy", "SimpleITK")
    weight = 2.0
    Settings = ShellSettings

    def apply(self, value: LabelMap, settings: ShellSettings, *, progress: ProgressFn, cancel: CancelToken) -> LabelMap:
        """Make the rims.

        Raises
        ------
        InputError
            If there is no segment of a name, or a rim's name is taken.
        """
        segments = chosen(value, settings.segments)
        rims = []
        for label, segment in zip(free_labels(value.segments, len(segments)), segments, strict=True):
            name = f"{segment.name} {settings.suffix}"
            require_free(value.segments, name, "Choose another suffix.")
            rims.append(named(label, name))
        ball = {"segments": tuple(s.name for s in segments), "radius_mm": settings.thickness_mm}
        ball["within"] = settings.within
        if settings.side == "outside":
            ball["overwrite"] = settings.overwrite
            changed = Dilate().run(value, ball, progress=progress, cancel=cancel)
        else:
            changed = Erode().run(value, ball, progress=progress, cancel=cancel)
        highest = max([s.label for s in (*value.segments, *rims)], default=0)
        dtype = np.uint8 if highest < 256 else np.uint16
        table = np.arange(highest + 1, dtype=dtype)
        gone = () if settings.keep else tuple(segments)
        kept = tuple(s for s in value.segments if s not in gone)
        for rim, segment in zip(rims, segments, strict=True):
            table[segment.label] = rim.label
        # Voxels that changed belong to a rim: of the segment that they came to, or of the one that they left.
        came = changed.array if settings.side == "outside" else value.array
        result = np.where(changed.array != value.array, looked_up(table, came), changed.array)
        for segment in gone:
            result[result == segment.label] = 0
        return finished(value, result, (*kept, *rims))
