"""Where the classes of a case lie, so that patches can be taken around rare ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MOST = 10_000
"""Voxels that are remembered per class, drawn at random: enough for every epoch to see others."""


class Places:
    """Random voxels of each class of a case.

    Parameters
    ----------
    classes : array of uint8, shape (K, J, I)
    seed : int
        Decides which voxels are remembered.
    """

    def __init__(self, classes: npt.NDArray[np.uint8], seed: int) -> None:
        random = np.random.default_rng(seed)
        self._shape = classes.shape
        flat = classes.reshape(-1)
        self._found = []
        for number in np.nonzero(np.bincount(flat))[0]:
            if number:
                at = np.flatnonzero(flat == number)
                self._found.append(at if len(at) <= MOST else np.sort(random.choice(at, MOST, replace=False)))

    def patch(self, size: Sequence[int], random: np.random.Generator) -> tuple[slice, slice, slice] | None:
        """Return a box around a voxel of a class, every class as likely as the others; None without any foreground.

        The voxel lies in the middle half of the box, unless the border of the case is nearer; along axes on which the
        case is smaller than ``size`` the box is the whole case.
        """
        if not self._found:
            return None
        at = self._found[int(random.integers(len(self._found)))]
        voxel = np.unravel_index(int(at[int(random.integers(len(at)))]), self._shape)
        parts = []
        for axis in range(3):
            offset = int(size[axis] * random.uniform(0.25, 0.75))
            start = min(max(0, int(voxel[axis]) - offset), max(0, self._shape[axis] - size[axis]))
            parts.append(slice(start, min(start + size[axis], self._shape[axis])))
        return parts[0], parts[1], parts[2]
