"""An image in the model's orientation, read slab by slab; nothing is copied as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, no_progress
from medai.core.resample import reorient_array
from medai.core.volume import Volume

from ..components import label_components
from ..slabs import for_slabs
from .sampling import slab_of

Array = npt.NDArray[Any]
FloatImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]
LINES = 64
"""Rows whose cache lines are used up together when axes are swapped."""


class Source:
    """Channels of an image, in the model's orientation.

    Parameters
    ----------
    channels : list of array, shape (K, J, I)
        Views of the image's voxels, of any type and memory layout.
    grid : Geometry
        Their grid.
    """

    def __init__(self, channels: list[Array], grid: Geometry) -> None:
        self.channels, self.grid = channels, grid

    @classmethod
    def of(cls, volume: Volume, orientation: str) -> Source:
        """Turn an image by swapping and flipping axes; its components are the channels."""
        array, grid = reorient_array(volume.array, volume.geometry, orientation)
        return cls([array] if array.ndim == 3 else [array[..., c] for c in range(array.shape[3])], grid)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along K, J, I."""
        return self.grid.shape

    def crop(self, box: Box) -> Source:
        """Return the part in a box."""
        start = (box[0].start, box[1].start, box[2].start)
        shape = (box[0].stop - start[0], box[1].stop - start[1], box[2].stop - start[2])
        return self if shape == self.shape else Source([c[box] for c in self.channels], self.grid.crop(start, shape))

    def value_range(self, channel: int, cancel: CancelToken) -> tuple[float, float]:
        """Return the smallest and the largest value of a channel.

        Raises
        ------
        InputError
            If there are NaN or infinite voxels, or values that 32 bits cannot hold.
        """
        array = in_memory_order(self.channels[channel])[0]

        def part(start: int, stop: int) -> tuple[float, float]:
            return float(array[start:stop].min()), float(array[start:stop].max())

        parts = for_slabs(len(array), part, slab=slab_of(array.shape), progress=no_progress, cancel=cancel)
        # NaN must come through, whatever is compared with it.
        low, high = float(np.min([p[0] for p in parts])), float(np.max([p[1] for p in parts]))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError("The image holds NaN or infinite voxels.", hint="Replace them before segmenting.")
        if max(abs(low), abs(high)) > float(np.finfo(np.float32).max):
            raise InputError(
                f"The image's values reach {max(abs(low), abs(high)):.3g}, more than networks can take (3.4e38).",
                hint="Scale the values before segmenting.",
            )
        return low, high

    def load(self, channel: int) -> Callable[[int, int], FloatImage]:
        """Return a function that gives slices ``start`` to ``stop`` as a new C-contiguous float32 array."""
        array = self.channels[channel]
        return lambda start, stop: copied(array[start:stop])

    def nonzero_box(self, cancel: CancelToken) -> Box | None:
        """Return the smallest box around the voxels of which any channel is not 0, or None if there is none.

        As nnU-Net's ``crop_to_nonzero``: filling the holes of the mask, as it does, changes no bounding box.
        """
        if all(any(np.moveaxis(c, axis, 0)[end].any() for c in self.channels) for axis in range(3) for end in (0, -1)):
            return slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2])
        ordered = [in_memory_order(c) for c in self.channels]
        arrays, (_, order, flips) = [o[0] for o in ordered], ordered[0]

        def part(start: int, stop: int) -> tuple[Mask, Mask]:
            some = arrays[0][start:stop] != 0
            for other in arrays[1:]:
                some |= other[start:stop] != 0
            return some.any(axis=(1, 2)), some.any(axis=0)

        shape = arrays[0].shape
        parts = for_slabs(shape[0], part, slab=slab_of(shape), progress=no_progress, cancel=cancel)
        plane = np.any([p[1] for p in parts], axis=0)
        if not plane.any():
            return None
        box = [slice(0, 0)] * 3
        for place, used in enumerate((np.concatenate([p[0] for p in parts]), plane.any(axis=1), plane.any(axis=0))):
            where = np.flatnonzero(used)
            low, high = int(where[0]), int(where[-1]) + 1
            size = shape[place]
            box[order[place]] = slice(size - high, size - low) if flips[place] else slice(low, high)
        return box[0], box[1], box[2]

    def filled_mask(self, cancel: CancelToken) -> Mask | None:
        """Return where any channel is not 0, with holes filled; None if that is everywhere.

        A hole is what no path through faces joins to the image's border (SciPy's ``binary_fill_holes``).  In a box
        around everything that is not 0, holes are those of the whole image.
        """
        mask = np.zeros(self.shape, dtype=np.bool_)

        def part(start: int, stop: int) -> None:
            for channel in self.channels:
                mask[start:stop] |= copied(channel[start:stop], channel.dtype) != 0

        for_slabs(len(mask), part, slab=slab_of(self.shape), progress=no_progress, cancel=cancel)
        if mask.all():
            return None
        labels, sizes = label_components(~mask, 6, cancel=cancel)
        hole = np.ones(len(sizes), dtype=np.bool_)
        hole[0] = False
        for axis in range(3):
            for end in (0, -1):
                hole[np.unique(np.moveaxis(labels, axis, 0)[end])] = False
        if hole.any():
            mask |= hole[labels]
        return None if mask.all() else mask


def in_memory_order(array: Array) -> tuple[Array, tuple[int, ...], tuple[bool, ...]]:
    """Return a view whose axes follow the memory, the axes of ``array`` that they are, and which were flipped."""
    order = tuple(int(a) for a in np.argsort([-abs(s) for s in array.strides], kind="stable"))
    flips = tuple(array.strides[axis] < 0 for axis in order)
    view = array.transpose(order)[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    return view, order, flips


def copied(array: Array, dtype: Any = np.float32) -> Array:
    """Return a C-contiguous copy of slices (n, J, I) of any memory layout, as float32 or another type.

    Where the memory runs along another axis than I, the copy goes in strips, so that a cache line that was fetched is
    used up before it is dropped; without them swapped axes take several times as long.
    """
    result = np.empty(array.shape, dtype=np.dtype(dtype).newbyteorder("="))
    fast = int(
        np.argmin(
            [abs(s) if n > 1 else np.iinfo(np.int64).max for s, n in zip(array.strides, array.shape, strict=True)]
        )
    )
    width = array.shape[1] if fast == 2 else LINES if fast == 1 else 1
    for start in range(0, array.shape[1], width):
        strip = slice(start, start + width)
        np.copyto(result[:, strip], array[:, strip], casting="unsafe")
    return result
