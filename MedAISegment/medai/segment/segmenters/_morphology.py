"""Smoothing of a binary surface by planes, as morphological snakes use it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, no_progress

from ..slabs import for_slabs

Binary = npt.NDArray[np.uint8]
SLAB_VOXELS = 1 << 19


def sup_inf(shape: Binary, cancel: CancelToken) -> Binary:
    """Return SI: the union of the erosions by the nine planes of a 3 x 3 x 3 box; four lines for a single slice.

    Marquez-Neila, Baumela and Alvarez, IEEE Trans. PAMI 36, 2 (2014), section 3.1.  Beyond the border nothing is set.
    """
    return _by_planes(shape, np.bitwise_and, np.bitwise_or, cancel)


def inf_sup(shape: Binary, cancel: CancelToken) -> Binary:
    """Return IS: the intersection of the dilations by the same planes."""
    return _by_planes(shape, np.bitwise_or, np.bitwise_and, cancel)


def _by_planes(shape: Binary, along: Any, over: Any, cancel: CancelToken) -> Binary:
    """Join voxels within each plane by ``along`` and the planes by ``over``; values are 0 and 1."""
    if shape.shape[0] == 1:
        padded = np.pad(shape[0], 1)
        return _lines(padded, along, over)[None]
    result = np.empty_like(shape)
    size = len(shape)

    def part(start: int, stop: int) -> None:
        slab = shape[max(0, start - 1) : stop + 1]
        padded = np.pad(slab, ((int(start == 0), int(stop == size)), (1, 1), (1, 1)))
        result[start:stop] = _planes(padded, along, over)

    slab = max(1, SLAB_VOXELS // max(1, shape.shape[1] * shape.shape[2]))
    for_slabs(size, part, slab=slab, progress=no_progress, cancel=cancel)
    return result


def _planes(padded: Binary, along: Any, over: Any) -> Binary:
    result: Binary | None = None
    for axis in range(3):
        # Three voxels along one axis, then three of those across it: straight twice, and along both diagonals.
        line = _three(padded, [_step(axis, d) for d in (-1, 0, 1)], along, keep=axis)
        one, two = (a for a in range(3) if a != axis)
        across = [[(d, d) for d in (-1, 0, 1)], [(d, -d) for d in (-1, 0, 1)]]
        if axis == 0:
            across += [[(d, 0) for d in (-1, 0, 1)], [(0, d) for d in (-1, 0, 1)]]
        elif axis == 1:
            across.append([(0, d) for d in (-1, 0, 1)])
        for moves in across:
            steps = []
            for a, b in moves:
                step = [0, 0, 0]
                step[one], step[two] = a, b
                steps.append((step[0], step[1], step[2]))
            plane = _three(line, steps, along, done=axis)
            result = plane if result is None else over(result, plane, out=result)
    assert result is not None
    return result


def _step(axis: int, distance: int) -> tuple[int, int, int]:
    step = [0, 0, 0]
    step[axis] = distance
    return step[0], step[1], step[2]


def _three(
    array: Binary, steps: list[tuple[int, int, int]], join: Any, keep: int | None = None, done: int | None = None
) -> Binary:
    """Join three shifted copies of an array.

    With ``keep``, only that axis loses its padding; with ``done``, every axis but that one, which has lost it.
    """
    views = []
    for step in steps:
        index = []
        for axis, size in enumerate(array.shape):
            whole = axis == done if keep is None else axis != keep
            index.append(slice(None) if whole else slice(1 + step[axis], size - 1 + step[axis]))
        views.append(array[tuple(index)])
    result: Binary = join(views[0], views[1])
    join(result, views[2], out=result)
    return result


def _lines(padded: Binary, along: Any, over: Any) -> Binary:
    height, width = padded.shape
    result: Binary | None = None
    for dj, di in ((1, 1), (1, 0), (1, -1), (0, 1)):
        views = [
            padded[1 + d * dj : height - 1 + d * dj, 1 + d * di : width - 1 + d * di]
            for d in (-1, 0, 1)
        ]  # fmt: skip
        line = along(along(views[0], views[1]), views[2])
        result = line if result is None else over(result, line, out=result)
    assert result is not None
    return result
