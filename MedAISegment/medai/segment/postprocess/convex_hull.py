"""Segments without dents: the convex hull of each plane."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn
from medai.segment.slabs import for_slabs

from ._masks import GrowSettings, Mask, MaskPost, Part, Within, flat_axis


class ConvexHullSettings(GrowSettings):
    """In which planes."""

    within: Within = Field(
        "axial",
        title="Within",
        description="Axial, coronal or sagittal planes (the nearest grid planes); 'volume' takes the axial ones too.",
    )


class ConvexHull(MaskPost):
    """Fills the convex hull of each segment plane by plane: holes and dents go, also those open to the image's border.

    A voxel belongs to the hull if its centre lies in the convex hull of the segment's voxel centres in that plane, to
    within a thousandth of a voxel (scikit-image's ``convex_hull_image`` with ``offset_coordinates=False``).  An
    image that cuts a body off at its side keeps the lungs that way, which filling holes would lose.
    """

    name = "convex_hull"
    title = "Convex hull"
    group = "Shape"
    weight = 2.0
    Settings = ConvexHullSettings

    def change(self, part: Part, settings: ConvexHullSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the hull."""
        axis = flat_axis(part.geometry, "axial" if settings.within == "volume" else settings.within)
        assert axis is not None  # a plane was named
        planes = np.moveaxis(part.mask, axis, 0)
        result = np.zeros(part.mask.shape, dtype=np.bool_)
        hulls = np.moveaxis(result, axis, 0)

        def fill(start: int, stop: int) -> None:
            for number in range(start, stop):
                hulls[number] = hull_of(planes[number])

        for_slabs(len(planes), fill, slab=4, progress=progress, cancel=cancel, message=self.title)
        return result


def hull_of(plane: Mask) -> Mask:
    """Return the filled convex hull of a mask of two axes, in steps of whole voxels."""
    rows = np.flatnonzero(plane.any(axis=1))
    result: Mask = np.zeros_like(plane)
    if rows.size == 0:
        return result
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - 1 - plane[rows, ::-1].argmax(axis=1)
    # The hull's left and right borders are the lower and upper hull of the rows' first and last columns.
    all_rows = np.arange(rows[0], rows[-1] + 1)
    left = np.interp(all_rows, *_chain(rows, first, -1))
    right = np.interp(all_rows, *_chain(rows, last, +1))
    columns = np.arange(plane.shape[1])
    slack = 1e-3
    inside = (columns >= left[:, None] - slack) & (columns <= right[:, None] + slack)
    result[all_rows] = inside
    return result


def _chain(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], sign: int) -> tuple[list[int], list[int]]:
    """Return the corners of the upper (sign 1) or lower (-1) hull of points with rising x: Andrew's monotone chain."""
    corners: list[tuple[int, int]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(corners) > 1 and sign * _turn(corners[-2], corners[-1], point) >= 0:
            corners.pop()
        corners.append(point)
    return [c[0] for c in corners], [c[1] for c in corners]


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    """Return twice the signed area of the triangle: above 0 if the way a, b, c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
