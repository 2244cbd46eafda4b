"""Connected components of a segment and what can be asked about them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.segment.components import Connectivity, component_runs, label_noise, looked_up
from medai.segment.runs import Runs

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


class Components:
    """The components of one segment's mask, as runs of voxels, or as a label image where there are very many runs.

    Attributes
    ----------
    sizes : int64 array
        Voxels of each component, numbered from 1 in the order of their first voxels; ``sizes[0]`` is 0.
    part : Part
        Where they lie.
    """

    def __init__(self, part: Part, connectivity: Connectivity, *, progress: ProgressFn, cancel: CancelToken) -> None:
        self.part = part
        self._cancel = cancel
        self._labels: npt.NDArray[np.int32] | None = None
        self._runs: Runs | None = None
        found = component_runs(part.mask, connectivity, progress=sub_progress(progress, 0.0, 0.5), cancel=cancel)
        if found is None:
            self._labels, self.sizes = label_noise(
                part.mask, connectivity, progress=sub_progress(progress, 0.5, 0.9), cancel=cancel
            )
        else:
            self._runs, self._numbers, self.sizes = found

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """Component of each voxel of the part; 0 outside the segment."""
        if self._labels is None:
            assert self._runs is not None
            self._labels = self._runs.paint(self._numbers, progress=no_progress, cancel=self._cancel)
        return self._labels

    def mask(self, keep: npt.NDArray[np.bool_]) -> Mask:
        """Return the voxels of the components n with ``keep[n]``."""
        keep = keep.copy()
        keep[0] = False
        if keep[1:].all():
            return self.part.mask
        if self._runs is not None:
            return self._runs.paint(keep[self._numbers], progress=no_progress, cancel=self._cancel)
        return looked_up(keep, self.labels)

    def touching(self, faces: str) -> npt.NDArray[np.bool_]:
        """Return, for each component, whether it reaches one of the image's faces; index 0 is False.

        Along an axis with one voxel the image has no faces.
        """
        found = np.zeros(len(self.sizes), dtype=np.bool_)
        for face in GROUPS.get(faces, (faces,)):
            axis, side = array_face(self.part.geometry, face)
            size, place = self.part.geometry.shape[axis], self.part.box[axis]
            if size > 1 and (place.start == 0 if side == 0 else place.stop == size):
                found[self.at_end(axis, side)] = True
        found[0] = False
        return found

    def at_end(self, axis: int, side: int) -> npt.NDArray[np.int32]:
        """Return the components with a voxel at the box's first (``side`` 0) or last (1) index of an axis."""
        if self._runs is None:
            return np.unique(self.labels.take(-side, axis=axis))
        end = side * (self.part.mask.shape[axis] - 1)
        first = self._runs.kji()[axis]
        last = first + (self._runs.lengths - 1 if axis == 2 else 0)
        return np.unique(self._numbers[(first <= end) & (end <= last)])

    def centroids_ras(self) -> npt.NDArray[np.float64]:
        """Return the centre of mass of each component in RAS mm, shape (count + 1, 3); row 0 is NaN."""
        if self._runs is None:
            places = np.flatnonzero(self.labels)
            numbers = self.labels.reshape(-1)[places]
            k, j, i = (n.astype(np.float64) for n in np.unravel_index(places, self.labels.shape))
            weights = np.ones(len(places))
        else:
            numbers, weights = self._numbers, self._runs.lengths.astype(np.float64)
            k, j, i = (n.astype(np.float64) for n in self._runs.kji())
            i += (weights - 1) / 2  # a run's middle
        ijk = np.full((len(self.sizes), 3), np.nan)
        for column, index in enumerate((i, j, k)):
            total = np.bincount(numbers, weights=index * weights, minlength=len(self.sizes))
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
