"""Smooth surfaces by a majority vote in a box."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn

from ._base import Post, SegmentsSettings
from ._smoothing import FROZEN, Labels, each_label, smoothed


class SmoothMedianSettings(SegmentsSettings):
    """The box."""

    radius_mm: float = Field(
        2.0,
        gt=0,
        le=30,
        title="Radius",
        description="Half the box's size: voxels whose centres lie up to this far away along each axis vote.",
        json_schema_extra={"unit": "mm"},
    )


class SmoothMedian(Post):
    """Gives each voxel the label (background included) that is most frequent in the box around it.

    Of one segment this is the median filter of its mask.  The outermost voxels are repeated beyond the image.  Where
    several labels are equally frequent the voxel keeps its own if that is one of them, and else gets the background or
    the first segment.  No gaps arise between segments.  Segments not worked on keep their voxels and do not vote.  An
    axis whose spacing exceeds the radius is not smoothed along.
    """

    name = "smooth_median"
    title = "Smooth (majority)"
    group = "Smooth"
    weight = 3.0
    Settings = SmoothMedianSettings

    def apply(
        self, value: LabelMap, settings: SmoothMedianSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Smooth the segments.

        Raises
        ------
        InputError
            If there is no segment of a name.
        """
        k, j, i = (
            int(settings.radius_mm * (1 + 1e-5) / s) if n > 1 else 0
            for s, n in zip(value.geometry.spacing_kji, value.geometry.shape, strict=True)
        )

        def vote(labels: Labels) -> Labels:
            return _majority(labels, (k, j, i))

        return smoothed(value, settings.segments, (k, j, i), vote, title=self.title, progress=progress, cancel=cancel)


def _majority(labels: Labels, half: tuple[int, int, int]) -> Labels:
    """Return the most frequent label in the box around each voxel, without the halo along K."""
    own = labels[half[0] : len(labels) - half[0]]
    voters = int(np.prod([2 * n + 1 for n in half]))
    dtype = np.uint8 if voters < 256 else np.uint16 if voters < 65536 else np.uint32
    best = np.zeros(own.shape, dtype=dtype)
    winner = np.zeros(own.shape, dtype=np.uint16)
    for label, window, inner, place in each_label(labels, half):
        if label == FROZEN:
            continue
        votes = _box_sum((labels[window] == label).astype(dtype), half)[inner]
        better = votes > best[place]
        better |= (votes == best[place]) & (own[place] == label)
        np.copyto(best[place], votes, where=better)
        np.copyto(winner[place], label, where=better)
    return winner


def _box_sum(array: npt.NDArray[Any], half: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Return the sums over the box around each voxel, with the outermost voxels repeated beyond the array."""
    for axis, n in enumerate(half):
        if n:
            wide = np.pad(array, [(n, n) if a == axis else (0, 0) for a in range(3)], mode="edge")
            array = np.moveaxis(_window_sum(np.moveaxis(wide, axis, 0), 2 * n + 1), 0, axis)
    return array


def _window_sum(array: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
    """Return the sums of ``width`` neighbours along axis 0, from sums of 1, 2, 4, ... of them."""
    total: npt.NDArray[Any] | None = None
    power, size, done = array, 1, 0
    while True:
        if width & size:
            count = len(array) - width + 1
            piece = power[done : done + count]
            total = piece.copy() if total is None else np.add(total, piece, out=total)
            done += size
        size *= 2
        if size > width:
            assert total is not None
            return total
        power = power[: len(power) - size // 2] + power[size // 2 :]
