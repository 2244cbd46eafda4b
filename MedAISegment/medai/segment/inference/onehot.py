"""Labels of a previous stage as input channels (nnU-Net's cascade)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, no_progress
from medai.core.resample import reorient_array, resample_array

from ..slabs import for_slabs
from .axis_weights import Sampler
from .sampling import Axes, resample, slab_of
from .source import Mask, copied

if TYPE_CHECKING:
    from .prepared import Prepared

Array = npt.NDArray[Any]
OUTSIDE = -1
"""nnU-Net's label of what lies outside the mask of values that are not 0."""


@dataclass(frozen=True, eq=False)
class Placement:
    """How a prepared image's voxels lie in the image.

    Parameters
    ----------
    box : Geometry
        The image in the model's orientation, cropped to what is not 0 if the model asks for it.
    orientation : str
        The model's.
    axes : tuple of Axis
        Where the prepared voxels lie in the box, along K, J, I.
    filled : array of bool, shape of the box, optional
        Where any channel is not 0, holes filled; None: everywhere, or not asked for.
    """

    box: Geometry
    orientation: str
    axes: Axes
    filled: Mask | None = None


def with_labels(
    prepared: Prepared, labels: LabelMap, values: Sequence[int], *, cancel: CancelToken | None = None
) -> Prepared:
    """Add one channel a label, 1 inside and 0 outside, as nnU-Net's cascade does.

    Each label's share of a voxel is interpolated linearly (in the plane only, where an axis is sampled by nearest
    neighbour) and the largest share wins; where two are equal, the label of the nearest voxel if it is one of them,
    else the smaller one (``resize_segmentation`` of batchgenerators with ``order=1``).

    Parameters
    ----------
    prepared : Prepared
        As :func:`~medai.segment.inference.prepared.prepare` gave it.
    labels : LabelMap
        On the image's grid; on another grid it is brought there by nearest neighbour.
    values : sequence of int
        Labels, in the order of the channels.

    Raises
    ------
    ValueError
        If the prepared image does not come from ``prepare``.
    """
    place = prepared.placement
    if place is None:
        raise ValueError("with_labels needs what prepare() returned, with its placement")
    token = cancel or CancelToken()
    found = _sampled(_on_box(labels, place, token), place, token)
    added = np.empty((len(values), *found.shape), dtype=np.float32)
    for channel, value in zip(added, values, strict=True):
        token.check()
        np.equal(found, value, out=channel, casting="unsafe")
    return type(prepared)(np.concatenate([prepared.array, added]), prepared.grid, place)


def _on_box(labels: LabelMap, place: Placement, cancel: CancelToken) -> Array:
    """Return the labels of the box's voxels; what lies outside the mask is marked."""
    turned, grid = reorient_array(labels.array, labels.geometry, place.orientation)
    start = np.rint(grid.to_ijk(place.box.origin)).astype(int)[::-1]
    stop = start + place.box.shape
    box = place.box.shape
    if (start >= 0).all() and (stop <= grid.shape).all() and grid.crop(tuple(start), box).same_as(place.box):
        source = turned[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    else:
        source = resample_array(labels.array, labels.geometry, place.box, "nearest")
    result = np.empty(box, dtype=np.int32)

    def part(start: int, stop: int) -> None:
        some = result[start:stop]
        some[...] = copied(source[start:stop], np.int32)
        if place.filled is not None:
            some[(some == 0) & ~place.filled[start:stop]] = OUTSIDE

    for_slabs(box[0], part, slab=slab_of(box), progress=no_progress, cancel=cancel)
    return result


def _present(labels: Array, cancel: CancelToken) -> list[int]:
    """Return the labels that there are, rising; counted, since sorting an image takes seconds."""

    def part(start: int, stop: int) -> Array:
        return np.flatnonzero(np.bincount(labels[start:stop].reshape(-1) - OUTSIDE)) + OUTSIDE

    found = for_slabs(len(labels), part, slab=slab_of(labels.shape), progress=no_progress, cancel=cancel)
    return [int(value) for value in np.unique(np.concatenate(found))]


def _sampled(labels: Array, place: Placement, cancel: CancelToken) -> Array:
    axes = tuple(axis if axis.kind in ("same", "nearest") else axis.as_kind("linear") for axis in place.axes)
    samplers = Sampler(axes[0]), Sampler(axes[1]), Sampler(axes[2])
    needed = labels[tuple(slice(s.low, s.high) for s in samplers)]
    index = [np.arange(a.count) if a.kind == "same" else a.nearest - s.low for a, s in zip(axes, samplers, strict=True)]
    nearest = np.empty([axis.count for axis in axes], dtype=needed.dtype)

    def pick(start: int, stop: int) -> None:
        nearest[start:stop] = needed[np.ix_(index[0][start:stop], index[1], index[2])]

    for_slabs(len(nearest), pick, slab=slab_of(nearest.shape), progress=no_progress, cancel=cancel)
    if all(axis.kind in ("same", "nearest") for axis in axes):
        return nearest
    present = _present(needed, cancel)
    shape = nearest.shape
    winner = np.full(shape, present[0], dtype=np.int32)
    best = np.full(shape, -1.0, dtype=np.float32)
    # Whether the nearest voxel's label is among those with the largest share so far.
    level = np.zeros(shape, dtype=np.bool_)
    share = np.empty(shape, dtype=np.float32)
    for value in present:
        cancel.check()

        def load(start: int, stop: int, value: int = value) -> npt.NDArray[np.float32]:
            return np.equal(needed[start:stop], value).astype(np.float32)

        resample(load, samplers, share, progress=no_progress, cancel=cancel)

        def decide(start: int, stop: int, value: int = value) -> None:
            part = slice(start, stop)
            is_nearest = nearest[part] == value
            ahead = share[part] > best[part]
            equal = (share[part] == best[part]) & (share[part] > 0)
            level[part] = np.where(ahead, is_nearest, level[part] | (equal & is_nearest))
            winner[part][ahead] = value
            best[part][ahead] = share[part][ahead]

        for_slabs(shape[0], decide, slab=slab_of(shape), progress=no_progress, cancel=cancel)
    return np.where(level, nearest, winner)
