"""Where each segment's voxels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medai.core.geometry import FloatArray
from medai.core.labelmap import LabelMap, Segment


@dataclass(frozen=True)
class Box:
    """The bounding box of a segment that has voxels.

    Parameters
    ----------
    slices : tuple of slice
        Along K, J, I.
    """

    slices: tuple[slice, slice, slice]

    def points(self, labels: LabelMap, segment: Segment) -> FloatArray:
        """RAS mm of the centres of the segment's voxels, shape (N, 3)."""
        k, j, i = (axis.astype(np.float64) for axis in np.nonzero(labels.array[self.slices] == segment.label))
        start = [s.start for s in self.slices]
        return labels.geometry.to_ras(np.stack([i + start[2], j + start[1], k + start[0]], axis=1))

    def components(self, labels: LabelMap, segment: Segment) -> int:
        """Return the number of parts that touch by no face, edge or corner."""
        from scipy import ndimage

        _, count = ndimage.label(labels.array[self.slices] == segment.label, np.ones((3, 3, 3), dtype=bool))
        return int(count)

    def touches_border(self, labels: LabelMap) -> bool:
        """Return True if the box reaches the image's border; the two faces of a one-slice image do not count."""
        sizes = labels.array.shape
        return any(n > 1 and (s.start == 0 or s.stop == n) for s, n in zip(self.slices, sizes, strict=True))


def find_boxes(labels: LabelMap) -> dict[int, Box]:
    """Return label -> box of every segment that has voxels."""
    from scipy import ndimage

    found = ndimage.find_objects(labels.array)
    return {label: Box(slices) for label, slices in enumerate(found, start=1) if slices is not None}
