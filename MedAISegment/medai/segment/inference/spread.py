"""A map on the model's grid brought to the image's grid, slice by slice, linearly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, no_progress

from ..slabs import for_slabs
from .axes import Axis

Array = npt.NDArray[Any]


class Spread:
    """Interpolates a map while its slices arrive in order.

    Parameters
    ----------
    axes : tuple of Axis
        Along K, J, I.
    out : array of float32, shape (k, j, i)
        The image's voxels inside the model's box; written slice by slice.
    """

    def __init__(self, axes: tuple[Axis, Axis, Axis], out: Array) -> None:
        self.axes, self.out = axes, out
        self._next = 0
        self._last: tuple[int, Array] | None = None

    def add(self, start: int, planes: Array, cancel: CancelToken) -> None:
        """Take slices ``start`` and following, each cut to the rows and columns in use; shape (slices, J, I)."""
        along = self.axes[0]
        held: dict[int, Array] = dict(enumerate(planes, start))
        if self._last is not None:
            held[self._last[0]] = self._last[1]
        end = start + len(planes)
        upper = along.low + (along.share > 0)
        stop = int(np.searchsorted(upper, end))
        begin = self._next

        def run(low: int, high: int) -> None:
            for n in range(begin + low, begin + high):
                plane = held[int(along.low[n])]
                if along.share[n] > 0:
                    plane = _between(plane, held[int(along.low[n]) + 1], along.share[n])
                self.out[n] = self._in_plane(plane)

        for_slabs(stop - begin, run, slab=4, progress=no_progress, cancel=cancel)
        self._next = stop
        self._last = (end - 1, planes[-1].copy())

    def _in_plane(self, plane: Array) -> Array:
        for number, axis in ((0, self.axes[1]), (1, self.axes[2])):
            low = axis.low - axis.used[0]
            below = np.take(plane, low, axis=number)
            if axis.reach:
                above = np.take(plane, np.minimum(low + 1, plane.shape[number] - 1), axis=number)
                share = axis.share[:, None] if number == 0 else axis.share
                below = _between(below, above, share)
            plane = below
        return plane


def _between(below: Array, above: Array, share: Any) -> Array:
    return np.asarray(below + (above - below) * share)
