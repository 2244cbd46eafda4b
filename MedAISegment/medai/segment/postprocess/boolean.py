"""Union, intersection, difference and exclusive or of segments."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.segment.anatomy import named
from medai.segment.boxes import bounding_box, widened
from medai.segment.components import looked_up
from medai.segment.morphology import dilated, eroded, reach

from ._base import Post, SegmentsSettings, chosen
from ._masks import Mask, finished
from ._naming import free_labels, require_free


class BooleanSettings(SegmentsSettings):
    """The operands, the operation and the result."""

    segments: tuple[str, ...] = Field(
        (),
        max_length=1000,
        title="Segments",
        description="Names of the segments that together are the first operand; none means all but the others.",
    )
    operation: Literal["union", "intersection", "difference", "xor"] = Field(
        "union",
        title="Operation",
        description="In either; in both; in the first and not in the second; in one of the two only.",
    )
    others: tuple[str, ...] = Field(
        (),
        max_length=1000,
        title="Others",
        description="Names of the segments that together are the second operand; none for an empty one.",
    )
    margin_mm: float = Field(
        0.0,
        ge=-100,
        le=100,
        title="Margin",
        description="The second operand is grown by this much before (shrunk, if negative), between voxel centres.",
        json_schema_extra={"unit": "mm"},
    )
    name: str = Field("Result", min_length=1, max_length=64, title="Name", description="Name of the result.")
    keep: bool = Field(
        True, title="Keep", description="Keep what is left of the operands' segments; false: they are dropped."
    )
    overwrite: bool = Field(
        False, title="Overwrite", description="True: the result takes voxels of segments that are no operand too."
    )


class Boolean(Post):
    """Combines two operands, each one segment or several together, into a new segment.

    A voxel belongs to one segment at most, so the result takes its voxels from the operands.  For the same reason two
    segments have nothing in common: an intersection needs a ``margin_mm``, by which the second operand reaches into the
    first ("the part of the liver within 5 mm of the vessels"), and so does a difference that takes anything away.
    """

    name = "boolean"
    title = "Boolean operation"
    group = "Segments"
    requires = ("scipy", "SimpleITK")
    Settings = BooleanSettings

    def apply(
        self, value: LabelMap, settings: BooleanSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Combine the operands.

        Raises
        ------
        InputError
            If there is no segment of a name, or the result's name is taken.
        """
        others = chosen(value, settings.others) if settings.others else ()
        firsts = tuple(s for s in chosen(value, settings.segments) if settings.segments or s not in others)
        operands = {*firsts, *others}
        kept = value.segments if settings.keep else tuple(s for s in value.segments if s not in operands)
        require_free(kept, settings.name, "Choose another name.")
        result = named(free_labels(value.segments, 1)[0], settings.name)
        first = _together(value, [s.label for s in firsts])
        second = _together(value, [s.label for s in others])
        _move(second, settings.margin_mm, value, progress=sub_progress(progress, 0.1, 0.8), cancel=cancel)
        progress(0.8, self.title)
        cancel.check()
        found: Mask
        if settings.operation == "union":
            found = first | second
        elif settings.operation == "intersection":
            found = first & second
        elif settings.operation == "difference":
            found = first & ~second
        else:
            found = first ^ second
        if not settings.overwrite:
            foreign = [s.label for s in value.segments if s not in operands]
            found &= ~_together(value, foreign)
        highest = max([s.label for s in value.segments] + [result.label])
        array = value.array.astype(np.uint8 if highest < 256 else np.uint16)
        if not settings.keep:
            array[_together(value, [s.label for s in operands])] = 0
        array[found] = result.label
        return finished(value, array, (*kept, result))


def _together(labels: LabelMap, wanted: list[int]) -> Mask:
    table = np.zeros(max([s.label for s in labels.segments], default=0) + 1, dtype=np.bool_)
    table[wanted] = True
    return looked_up(table, labels.array)


def _move(mask: Mask, margin_mm: float, labels: LabelMap, *, progress: ProgressFn, cancel: CancelToken) -> None:
    """Grow or shrink a mask in place."""
    box = bounding_box(mask)
    if box is None or margin_mm == 0:
        return
    spacing = labels.geometry.spacing_kji
    # Eroding needs the nearest voxel outside only.
    box = widened(box, reach(margin_mm, spacing) if margin_mm > 0 else 1, mask.shape)
    change = dilated if margin_mm > 0 else eroded
    mask[box] = change(mask[box], abs(margin_mm), spacing, progress=progress, cancel=cancel)
