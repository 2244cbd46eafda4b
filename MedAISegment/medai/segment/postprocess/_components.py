"""Connected components of a segment and what can be asked about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn
from medai.segment.components import Connectivity, label_components

from ._masks import Mask, Part

Face = Literal["left", "right", "anterior", "posterior", "superior", "inferior"]
Faces = Literal["none", "border", "sides", "ends", "left", "right", "anterior", "posterior", "superior", "inferior"]
RAS_FACES: dict[str, tuple[int, int]] = {
    "left": (0, -1), "right": (0, 1), "posterior": (1, -1), "anterior": (1, 1), "inferior": (2, -1), "superior": (2, 1),
}  # fmt: skip
"""Face -> (RAS axis, sign)."""
GROUPS: dict[str, tuple[str, ...]] = {
    "none": (),
    "border": tuple(RAS_FACES),
    "sides": ("left", "right", "anterior", "posterior"),
    "ends": ("superior", "inferior"),
}
FACES_HELP = "'sides' are left, right, anterior and posterior, 'ends' superior and inferior, 'border' all six."


@dataclass(frozen=True, eq=False)
class Components:
    """The components of one segment's mask.

    Parameters
    ----------
    labels : int32 array
        Component of each voxel of the part, numbered from 1; 0 outside the segment.
    sizes : int64 array
        Voxels of each component; ``sizes[0]`` is 0.
    part : Part
        Where they lie.
    """

    labels: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int64]
    part: Part

    @classmethod
    def of(cls, part: Part, connectivity: Connectivity, *, progress: ProgressFn, cancel: CancelToken) -> Components:
        """Find the components of a part."""
        labels, sizes = label_components(part.mask, connectivity, progress=progress, cancel=cancel)
        return cls(labels, sizes, part)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.sizes) - 1

    def mask(self, keep: npt.NDArray[np.bool_]) -> Mask:
        """Return the voxels of the components n with ``keep[n]``."""
        keep = keep.copy()
        keep[0] = False
        if keep[1:].all():
            return self.part.mask
        wanted = np.flatnonzero(keep)
        if len(wanted) == 1:
            return np.asarray(self.labels == wanted[0])
        return np.take(keep, self.labels)

    def touching(self, faces: str) -> npt.NDArray[np.bool_]:
        """Return, for each component, whether it reaches one of the image's faces; index 0 is False.

        Along an axis with one voxel the image has no faces.
        """
        found = np.zeros(len(self.sizes), dtype=np.bool_)
        for face in GROUPS.get(faces, (faces,)):
            axis, side = array_face(self.part.geometry, face)
            size, place = self.part.geometry.shape[axis], self.part.box[axis]
            if size > 1 and (place.start == 0 if side == 0 else place.stop == size):
                found[np.unique(self.labels.take(-side, axis=axis))] = True
        found[0] = False
        return found

    def centroids_ras(self) -> npt.NDArray[np.float64]:
        """Return the centre of mass of each component in RAS mm, shape (count + 1, 3); row 0 is NaN."""
        places = np.flatnonzero(self.labels)
        numbers = self.labels.reshape(-1)[places]
        ijk = np.full((len(self.sizes), 3), np.nan)
        for column, index in enumerate(reversed(np.unravel_index(places, self.labels.shape))):
            total = np.bincount(numbers, weights=index, minlength=len(self.sizes))
            ijk[1:, column] = total[1:] / self.sizes[1:] + self.part.box[2 - column].start
        return self.part.geometry.to_ras(ijk)


def array_face(geometry: Geometry, face: str) -> tuple[int, int]:
    """Return (array axis 0 to 2, 0 for its first or 1 for its last index) of an anatomical face of the image."""
    wanted, sign = RAS_FACES[face]
    column = next(n for n, (axis, _) in enumerate(geometry.axis_map) if axis == wanted)
    return 2 - column, int(geometry.axis_map[column][1] == sign)


def first(order: npt.NDArray[Any], number: int, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return a mark for the ``number`` components of the greatest values; equal ones in the order of numbers."""
    keep = np.zeros(len(sizes), dtype=np.bool_)
    keep[1 + np.argsort(-order[1:], kind="stable")[:number]] = True
    return keep
