"""Segments split into a left and a right one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.segment.boxes import label_boxes

from ._base import Post, SegmentsSettings, chosen
from ._masks import Part, finished
from ._naming import free_labels, require_free, sided
from ._sides import middle_of, on_right, parts_on_right


class SplitSidesSettings(SegmentsSettings):
    """How to split."""

    method: Literal["parts", "plane"] = Field(
        "parts",
        title="Method",
        description=(
            "'parts': connected components stay whole and go to the side where most of them lies; only one that spans "
            "both sides is parted, at its waist if it has one.  'plane': cut at the plane."
        ),
    )
    middle: Literal["segment", "image"] = Field(
        "segment",
        title="Middle",
        description="Midway between the segment's leftmost and rightmost voxel, or in the image's middle.",
    )
    position_mm: float | None = Field(
        None,
        ge=-1e6,
        le=1e6,
        title="Position",
        description="The plane's position, right of the origin (RAS), instead; none: as 'Middle' says.",
        json_schema_extra={"unit": "mm"},
    )


class SplitSides(Post):
    """Splits each segment at a sagittal plane (of equal RAS x): 'Lung' becomes 'Left lung' and 'Right lung'.

    By parts: a component (26 neighbours apart) of which at least 98 % lie on one side goes there whole.  One that spans
    both, such as lungs that touch at the anterior junction, is eroded by balls of growing radius until its core falls
    into parts that lie on one side each; then both sides' cores grow back inside the component, voxel by voxel, and
    each voxel goes to the core that reaches it first.  Without such a waist a component of which three quarters lie on
    one side goes there, and any other is cut at the plane.

    The left part keeps the segment's label, the right one gets a free label.  A side without voxels is an empty segment
    with a flag.
    """

    name = "split_sides"
    title = "Split left and right"
    group = "Segments"
    requires = ("scipy", "SimpleITK")
    weight = 4.0
    Settings = SplitSidesSettings

    def apply(
        self, value: LabelMap, settings: SplitSidesSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Split the segments.

        Raises
        ------
        InputError
            If there is no segment of a name, or the name of a side is taken.
        """
        parts = chosen(value, settings.segments)
        labels = free_labels(value.segments, len(parts))
        pairs = {s: (sided(s, s.label, "Left"), sided(s, n, "Right")) for s, n in zip(parts, labels, strict=True)}
        for half in (half for pair in pairs.values() for half in pair):
            require_free(value.segments, half.name, "Rename that segment, or name the segments to split.")
        highest = max([s.label for s in value.segments] + labels, default=0)
        result = value.array.astype(np.uint8 if highest < 256 else np.uint16)
        boxes = label_boxes(value.array, [s.label for s in parts])
        for number, segment in enumerate(parts):
            cancel.check()
            share = sub_progress(progress, number / len(parts), (number + 1) / len(parts))
            box = boxes.get(segment.label)
            if box is not None:
                part = Part(value.array[box] == segment.label, box, value.geometry, segment)
                plane = middle_of(part, settings.middle) if settings.position_mm is None else settings.position_mm
                side = on_right(part, plane)
                if settings.method == "parts":
                    side = parts_on_right(part, side, progress=share, cancel=cancel)
                result[box][part.mask & side] = pairs[segment][1].label
            share(1.0, self.title)
        segments = tuple(new for segment in value.segments for new in pairs.get(segment, (segment,)))
        heirs = {segment.name: (left.name, right.name) for segment, (left, right) in pairs.items()}
        return finished(value, result, segments, heirs)
