"""Which voxels of a segment belong to the right side of the body."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.segment.boxes import bounding_box
from medai.segment.components import counts_of, label_components, looked_up
from medai.segment.morphology import dilated, eroded

from ._masks import Mask, Part

WHOLE = 0.98
"""A component with this share of its voxels on one side belongs there."""
MOSTLY = 0.75
"""One without a waist belongs to a side from this share on; so does a part of an eroded component."""
STRAY = 0.05
"""Share of an eroded component that may lie in parts on neither side; and the least share of a side that counts."""
CORNER = 1.75
"""Reaches a voxel's 26 neighbours, the farthest the square root of 3 away."""
RADII_MM = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 12.5, 15.0)
"""Balls by which a component is eroded until it falls apart."""


def positions_mm(part: Part) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what K, J and I add to a voxel's RAS x, each with the shape to be added up to the part's."""
    affine = part.geometry.ijk_to_ras
    start, stop = zip(*((place.start, place.stop) for place in part.box), strict=True)
    k = affine[0, 2] * np.arange(start[0], stop[0]) + affine[0, 3]
    j, i = affine[0, 1] * np.arange(start[1], stop[1]), affine[0, 0] * np.arange(start[2], stop[2])
    return k[:, None, None], j[None, :, None], i[None, None, :]


def middle_of(part: Part, middle: Literal["segment", "image"]) -> float:
    """Return the RAS x of the plane: the image's middle, or midway between the mask's ends."""
    if middle == "image":
        return float(part.geometry.centre[0])
    k, j, i = positions_mm(part)
    # A row's leftmost and rightmost voxel are its first and its last one.
    rows = part.mask.any(axis=2)
    first = part.mask.argmax(axis=2)
    last = part.mask.shape[2] - 1 - part.mask[..., ::-1].argmax(axis=2)
    base = (k + j)[..., 0]
    ends = np.stack([base + i[0, 0, first], base + i[0, 0, last]])[:, rows]
    return float((ends.min() + ends.max()) / 2)


def on_right(part: Part, plane: float) -> Mask:
    """Return the voxels of the box right of the plane; one that lies on it counts as left."""
    k, j, i = positions_mm(part)
    # Positions are rounded so that a voxel on the plane lies on it in every orientation of the grid.
    result = np.empty(part.mask.shape, dtype=np.bool_)
    for n in range(len(result)):
        np.greater(np.round(k[n] + j[0] + i[0] - plane, 6), 0, out=result[n])
    return result


def parts_on_right(part: Part, right: Mask, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
    """Return the voxels of the components, or parts of components, that belong to the right side.

    Parameters
    ----------
    part : Part
        The segment.
    right : bool array
        Voxels right of the plane.
    """
    labels, sizes = label_components(part.mask, 26, progress=sub_progress(progress, 0.0, 0.3), cancel=cancel)
    share = counts_of(labels, len(sizes) - 1, right) / np.maximum(sizes, 1)
    result = looked_up(share > 0.5, labels)
    spanning = [n for n in range(1, len(sizes)) if 1 - WHOLE < share[n] < WHOLE]
    for done, n in enumerate(spanning):
        component = labels == n
        box = bounding_box(component)
        assert box is not None
        steps = sub_progress(progress, 0.3 + 0.7 * done / len(spanning), 0.3 + 0.7 * (done + 1) / len(spanning))
        # The erosion must see the background around the component.
        inner, side = np.pad(component[box], 1), np.pad(right[box], 1, mode="edge")
        found = _parted(inner, side, part.spacing_kji, progress=steps, cancel=cancel)
        if found is None and not 1 - MOSTLY < share[n] < MOSTLY:
            continue
        result[box][component[box]] = (side if found is None else found)[inner]
    return result


def _parted(
    component: Mask,
    right: Mask,
    spacing_kji: tuple[float, float, float],
    *,
    progress: ProgressFn,
    cancel: CancelToken,
) -> Mask | None:
    """Return the right part of a component that falls into two when eroded, or None if it does not."""
    size = int(component.sum())
    for number, radius in enumerate(RADII_MM):
        cancel.check()
        progress(0.7 * number / len(RADII_MM), "Sides")
        if radius < min(spacing_kji):
            continue
        core = eroded(component, radius, spacing_kji, cancel=cancel)
        labels, sizes = label_components(core, 6, cancel=cancel)
        if not sizes.any():
            return None
        share = counts_of(labels, len(sizes) - 1, right) / np.maximum(sizes, 1)
        rights, lefts = share >= MOSTLY, share <= 1 - MOSTLY
        lefts[0] = rights[0] = False
        if sizes[~(lefts | rights)].sum() > STRAY * sizes.sum():
            continue
        if min(sizes[lefts].sum(), sizes[rights].sum()) < STRAY * sizes.sum():
            continue
        left_core, right_core = looked_up(lefts, labels), looked_up(rights, labels)
        del core, labels  # five bytes a voxel
        found = _grown_back(component, left_core, right_core, right, cancel)
        if STRAY * size <= found.sum() <= (1 - STRAY) * size:
            return found
    return None


def _grown_back(component: Mask, left: Mask, right: Mask, side: Mask, cancel: CancelToken) -> Mask:
    """Grow both cores, in place, inside the component and return the right one's part.

    A step goes to all 26 neighbours, so that every voxel is reached; one that both reach at once belongs to its own
    ``side`` of the plane (True for right).
    """
    while True:
        cancel.check()
        free = component & ~(left | right)
        to_left = dilated(left, CORNER, (1.0, 1.0, 1.0), cancel=cancel) & free
        to_right = dilated(right, CORNER, (1.0, 1.0, 1.0), cancel=cancel) & free
        both = to_left & to_right
        to_left &= ~(both & side)
        to_right &= ~(both & ~side)
        if not to_left.any() and not to_right.any():
            return right
        left |= to_left
        right |= to_right
