"""Grow-cut: painted seeds of several segments share out the image between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.volume import Volume

from ..histogram import value_range
from ..inside import InsideSettings, inside_mask
from ..slabs import for_slabs
from ._base import Segmenter
from ._box import box_around
from ._grow import doubts

Keys = npt.NDArray[np.int32]
MAX_ROUNDS = 1000
STRIP_VOXELS = 1 << 20
"""Voxels of the lines that a thread sweeps at once."""
FAR = (1 << 30) - 1
"""No path leads here."""
LEVELS = 65535
"""Parts of the image's range in which costs are counted."""
MAX_PLAYERS = 255


class GrowCutSettings(InsideSettings):
    """What a step costs, and where."""

    distance_weight: float = Field(
        0.0,
        ge=0,
        le=1e9,
        title="Distance weight",
        description="Cost of a millimetre, in the image's unit: larger values keep segments near their seeds.",
        json_schema_extra={"unit": "1/mm"},
    )
    margin_mm: float = Field(
        20.0,
        ge=0,
        title="Margin",
        description="The box around all seeds that is shared out, widened on each side.",
        json_schema_extra={"unit": "mm"},
    )
    background: str = Field(
        "Background",
        max_length=64,
        title="Background",
        description="Name of the segment of painted background, which is left out of the result; empty: keep all.",
    )


class GrowCut(Segmenter):
    """Each voxel joins the painted segment to which the cheapest path leads.

    A path goes from voxel to voxel across faces; a step costs the absolute difference of the two values, and
    ``distance_weight`` per mm.  This is the shortest-path form of grow-cut (Zhu, Kolesov, Gao, Kikinis and Tannenbaum,
    MICCAI workshop on interactive medical image computing, 2014); the automaton of Vezhnevets and Konouchine (2005)
    comes to rest in the same way.  The paths are the shortest ones, the same as Dijkstra's
    (``scipy.sparse.csgraph.dijkstra``): lines are swept forward and backward along each axis until nothing changes.

    Costs are counted in units of about 1/65536 of the image's range (a power of two, so that whole numbers of up to 16
    bits are exact), and each step costs one unit more, so that flat regions go to the seed with the fewest steps; at
    equal cost the lower label wins.  The painted voxels keep their labels.  Outside the box (the seeds' bounding box
    and the margin) nothing is labelled.  NaN and infinite voxels cannot be passed.
    """

    name = "grow_cut"
    title = "Grow-cut"
    group = "Region growing"
    uses_labels = "required"
    weight = 20.0
    Settings = GrowCutSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: GrowCutSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Share out the box between the segments made so far.

        Raises
        ------
        InputError
            If fewer than two segments are painted, or values are too large to add up.
        """
        value.require_scalar(self.title)
        assert labels is not None  # run() saw to it
        counts = labels.counts()
        painted = {s.label for s in labels.segments if counts[s.label]}
        if settings.inside:
            painted.discard(labels.segment(settings.inside).label)
        if len(painted) < 2:
            raise InputError(
                f"Grow-cut needs at least two painted segments, given {len(painted)}.",
                hint="Paint some voxels of the structure and some of the background.",
            )
        if len(painted) > MAX_PLAYERS:
            raise InputError(f"Grow-cut takes at most {MAX_PLAYERS} painted segments, given {len(painted)}.")
        inside = inside_mask(labels, settings.inside)
        # The segment to work inside is the field, not a player.
        lut = np.zeros(max(s.label for s in labels.segments) + 1, dtype=labels.array.dtype)
        for label in painted:
            lut[label] = label
        seeds = lut[labels.array]
        box = box_around(seeds > 0, value.geometry, settings.margin_mm)
        low, high, _, _ = value_range(value.array[box], None, cancel)
        widest = float(high) - float(low) + settings.distance_weight * max(value.geometry.spacing)
        shared = shared_out(
            value.array[box],
            np.ascontiguousarray(seeds[box]),
            value.geometry.spacing_kji,
            settings.distance_weight,
            2.0 ** math.ceil(math.log2(widest / LEVELS)) if widest > 0 else 1.0,
            None if inside is None else inside[box],
            progress=progress,
            cancel=cancel,
            message=self.title,
        )
        segments = tuple(s for s in labels.segments if s.label in painted and s.name != settings.background)
        gone = {s.label for s in labels.segments} - {s.label for s in segments}
        for label in gone:
            lut[label] = 0
        result = np.zeros_like(labels.array)
        result[box] = lut[shared]
        found = LabelMap(result, value.geometry, segments)
        return found.replace(flags=doubts(found))


def shared_out(
    array: npt.NDArray[Any],
    seeds: npt.NDArray[Any],
    spacing: tuple[float, float, float],
    distance_weight: float,
    unit: float,
    inside: npt.NDArray[np.bool_] | None,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> npt.NDArray[Any]:
    """Return the label of the seed with the cheapest path for each voxel, 0 where no path leads.

    Cost and label share one 32-bit number, the label in the lowest bits: the smaller of two numbers is the cheaper path
    and, at equal cost, the lower label.

    Parameters
    ----------
    array, seeds : array, shape (K, J, I)
        The image and the painted labels.
    unit : float
        Costs are whole multiples of it.
    """
    # Slice by slice: bincount makes a copy of 8 bytes a voxel.
    most = int(seeds.max())
    voxels = np.sum([np.bincount(plane.reshape(-1), minlength=most + 1) for plane in seeds], axis=0)
    players = np.flatnonzero(voxels[1:]) + 1
    bits = len(players).bit_length()
    code = np.full(int(players[-1]) + 1, FAR, dtype=np.int32)
    code[players] = np.arange(len(players))
    blocked: npt.NDArray[np.bool_] | None = None
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        blocked = None if finite.all() else ~finite
    if inside is not None:
        outside = ~inside & (seeds == 0)
        blocked = outside if blocked is None else blocked | outside
    key = code[seeds]
    if blocked is not None:
        key[blocked] = FAR
    for done in range(MAX_ROUNDS):
        changed = False
        for axis in range(3):
            if array.shape[axis] > 1:
                step = distance_weight * spacing[axis]
                changed |= _sweep(array, key, blocked, axis, step, unit, bits, cancel)
        # How many rounds are left is not known.
        progress(1 - 0.9 ** (done + 1), message)
        if not changed:
            break
    result = np.zeros_like(seeds)
    for plane, found in zip(result, key, strict=True):
        reached = found < FAR
        plane[reached] = players[found[reached] & ((1 << bits) - 1)]
    return result


def _sweep(
    array: npt.NDArray[Any],
    key: Keys,
    blocked: npt.NDArray[np.bool_] | None,
    axis: int,
    step: float,
    unit: float,
    bits: int,
    cancel: CancelToken,
) -> bool:
    """Carry costs and labels along an axis, forward and backward; return whether anything changed."""
    # Lines along the axis are independent, so they are cut into strips across another axis.
    across = 1 if axis == 0 else 0

    def turned(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.moveaxis(a, (axis, across), (0, 1))

    size, width, depth = turned(key).shape

    def part(start: int, stop: int) -> bool:
        lines = slice(start, stop)
        walls = None if blocked is None else turned(blocked)[:, lines]
        toll = _tolls(turned(array)[:, lines], walls, step, unit, bits)
        # A copy lies in the order of the sweep, whatever the axis.
        keys = np.array(turned(key)[:, lines], order="C")
        for n in range(1, size):
            np.minimum(keys[n], keys[n - 1] + toll[n - 1], out=keys[n])
        for n in range(size - 2, -1, -1):
            np.minimum(keys[n], keys[n + 1] + toll[n], out=keys[n])
        if np.array_equal(keys, turned(key)[:, lines]):
            return False
        turned(key)[:, lines] = keys
        return True

    strip = max(1, STRIP_VOXELS // max(1, size * depth))
    return any(for_slabs(width, part, slab=strip, progress=no_progress, cancel=cancel))


def _tolls(values: npt.NDArray[Any], walls: npt.NDArray[np.bool_] | None, step: float, unit: float, bits: int) -> Keys:
    """Return the cost of each step along the first axis, above the label's bits."""
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2 and unit <= 1 and walls is None:
        whole = np.ascontiguousarray(values)
        toll: Keys = np.subtract(whole[1:], whole[:-1], dtype=np.int32)
        np.abs(toll, out=toll)
        toll *= round(1 / unit)  # a power of two
        toll += round(step / unit) + 1
        toll <<= bits
        return toll
    real = np.array(values, dtype=np.float64 if values.dtype.itemsize > 2 else np.float32, order="C")
    if walls is not None:
        real[walls] = 0
    difference = np.abs(np.diff(real, axis=0))
    difference += step
    difference /= unit
    toll = np.rint(difference, out=difference).astype(np.int32)
    toll += 1
    toll <<= bits
    if walls is not None:
        toll[walls[1:] | walls[:-1]] = FAR
    return toll
