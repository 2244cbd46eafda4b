"""An image onto the model's voxels: where the voxels lie (nnU-Net's, MONAI's and our own rule), and their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn, sub_progress

from ..blas import one_thread
from ..slabs import for_slabs
from .axis_weights import Axis, Kind, Sampler
from .prepare import PrepareSettings

FloatImage = npt.NDArray[np.float32]
Axes = tuple[Axis, Axis, Axis]
Load = Callable[[int, int], FloatImage]
"""``load(start, stop)`` gives slices of an image along K as a new C-contiguous array (n, J, I)."""
SLAB_VOXELS = 1 << 22
MAX_VALUES = 1 << 31
"""Most values (voxels times channels) that are prepared: 8 GiB."""
SPACING_DIGITS = 9
"""Spacings are rounded to this many digits of a mm: a header's last bit must not decide how many voxels there are."""
MONAI_TOLERANCE = 1e-3
"""MONAI keeps an axis whose spacing is this close to the one wanted."""


def slab_of(shape: Sequence[int]) -> int:
    """Return how many slices of an image (K, J, I) are worked on at a time; it depends on the shape only."""
    return int(max(1, min(64, SLAB_VOXELS // max(1, shape[1] * shape[2]))))


def sample_axes(shape: tuple[int, int, int], spacing_kji: Sequence[float], settings: PrepareSettings) -> Axes:
    """Return where the model's voxels lie along K, J and I of an image.

    ``cover`` follows :meth:`~medai.core.geometry.Geometry.with_spacing`.  ``edges`` is what nnU-Net's
    ``resample_data_or_seg_to_shape`` does through scikit-image's ``resize(mode="edge")``.  ``centres`` is MONAI's
    ``Spacing`` with ``scale_extent=False``.  If the settings' anisotropy asks for it, the coarsest axis is sampled by
    nearest neighbour (nnU-Net's "separate z").
    """
    old, new = spacings(spacing_kji, settings)
    slow = separate_axis(old, new, settings.anisotropy)
    axes = []
    for axis, (size, a, b) in enumerate(zip(shape, old, new, strict=True)):
        kind: Kind = "nearest" if axis == slow else settings.interpolate
        axes.append(_axis(size, a, b, kind, settings))
    return axes[0], axes[1], axes[2]


def spacings(spacing_kji: Sequence[float], settings: PrepareSettings) -> tuple[list[float], list[float]]:
    """Return the image's spacing and the one wanted, in mm along K, J, I."""
    old = [round(float(s), SPACING_DIGITS) for s in spacing_kji]
    new = list(old)
    if settings.spacing is not None:
        new = [float(s) for s in settings.spacing[::-1]]
        if settings.keep_slices:
            new[0] = old[0]
    if settings.grid == "cover" and all(abs(a - b) <= 1e-3 for a, b in zip(old, new, strict=True)):
        new = list(old)
    return old, new


def _axis(size: int, old: float, new: float, kind: Kind, settings: PrepareSettings) -> Axis:
    if settings.grid == "edges":
        count = max(1, round(old / new * size))
        if count == size:
            return Axis(size, size, 0.0, 1.0, "same")
        step = size / count
        return Axis(size, count, step * 0.5 - 0.5, step, kind, (size, count))
    if settings.grid == "centres":
        if abs(old - new) <= MONAI_TOLERANCE:
            return Axis(size, size, 0.0, 1.0, "same")
        # A half is rounded to even; the last bit must not make it more or less than a half.
        count = round(round((size - 1) * (old / new) + 1, SPACING_DIGITS))
        return Axis(size, max(1, count), 0.0, new / old, kind)
    if old == new:
        return Axis(size, size, 0.0, 1.0, "same")
    count = max(1, int(np.ceil(size * old / new - 1e-6)))
    step = new / old
    return Axis(size, count, (size - 1) / 2 - (count - 1) / 2 * step, step, kind)


def separate_axis(old: Sequence[float], new: Sequence[float], threshold: float) -> int | None:
    """Return the axis that nnU-Net samples apart from the others, or None.

    The axis of the largest spacing, if the largest is more than ``threshold`` times the smallest and no other axis has
    it too: of the image's spacing, else of the one wanted.
    """
    if threshold <= 0:
        return None
    for spacing in (old, new):
        if max(spacing) / min(spacing) > threshold:
            largest = [axis for axis, s in enumerate(spacing) if s == max(spacing)]
            return largest[0] if len(largest) == 1 else None
    return None


def sampled_grid(grid: Geometry, axes: Axes) -> Geometry:
    """Return the grid of the samples of an image on ``grid``."""
    if all(a.kind == "same" and a.count == a.size for a in axes):
        return grid
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, 3] = grid.to_ras([axis.first for axis in axes[::-1]])
    matrix[:3, :3] *= np.asarray([axis.step for axis in axes[::-1]])
    return Geometry((axes[0].count, axes[1].count, axes[2].count), matrix)


def require_size(axes: Axes, channels: int) -> None:
    """Refuse a result that is too large, before memory is taken.

    Raises
    ------
    InputError
        Naming the size.
    """
    k, j, i = (axis.count for axis in axes)
    if k * j * i * channels > MAX_VALUES:
        raise InputError(
            f"In the model's spacing the image has {i} x {j} x {k} voxels of {channels} values, more than the "
            f"{MAX_VALUES / 1e6:.0f} million values that are prepared.",
            hint="Crop the image, or check its voxel spacing.",
        )


def resample(
    load: Load,
    samplers: tuple[Sampler, Sampler, Sampler],
    out: FloatImage,
    *,
    change: Callable[[int, FloatImage], None] | None = None,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "Resampling",
) -> None:
    """Fill ``out`` with the samples of an image.

    Parameters
    ----------
    load : callable
        Gives slices ``start`` to ``stop`` of the voxels that the samplers need: slice 0 is the samplers' first.
    samplers : tuple of Sampler
        Along K, J and I.
    out : array of float32, shape (K, J, I) of the samples
        C-contiguous.
    change : callable, optional
        ``change(start, part)`` is called for each finished part of ``out`` (from slice ``start`` on), to change it in
        place.
    """
    with one_thread() as threads:
        _resample(load, samplers, out, change, threads, progress, cancel, message)


def _resample(
    load: Load,
    samplers: tuple[Sampler, Sampler, Sampler],
    out: FloatImage,
    change: Callable[[int, FloatImage], None] | None,
    threads: int | None,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str,
) -> None:
    along_k, along_j, along_i = samplers
    slab = slab_of((along_k.size, along_j.size, along_i.size))

    def planes(start: int, stop: int) -> FloatImage:
        return along_j.along_middle(along_i.along_last(load(start, stop)))

    def finish(start: int, stop: int) -> None:
        if change is not None:
            change(start, out[start:stop])

    if not along_k.blocks:
        index = np.arange(along_k.size) if along_k.index is None else along_k.index

        def direct(start: int, stop: int) -> None:
            low, high = int(index[start]), int(index[stop - 1]) + 1
            if high - low > 4 * (stop - start):
                # Most slices in between are not wanted.
                for n in range(start, stop):
                    out[n] = planes(int(index[n]), int(index[n]) + 1)[0]
            else:
                out[start:stop] = planes(low, high)[index[start:stop] - low]
            finish(start, stop)

        for_slabs(along_k.count, direct, slab=slab, progress=progress, cancel=cancel, message=message, threads=threads)
        return
    span = max(block.high - block.low for block in along_k.blocks)
    kept = np.empty((span, along_j.count, along_i.count), dtype=np.float32)
    kept_low = kept_high = 0
    for number, block in enumerate(along_k.blocks):
        have = max(0, kept_high - block.low)
        if have:
            kept[:have] = kept[block.low - kept_low : kept_high - kept_low]
        first = block.low + have

        def fill(start: int, stop: int, first: int = first, have: int = have) -> None:
            kept[have + start : have + stop] = planes(first + start, first + stop)

        part = sub_progress(progress, number / len(along_k.blocks), (number + 1) / len(along_k.blocks))
        for_slabs(block.high - first, fill, slab=slab, progress=part, cancel=cancel, message=message, threads=threads)
        kept_low, kept_high = block.low, block.high
        source = kept[: block.high - block.low].reshape(block.high - block.low, -1)
        target = out[block.start : block.stop].reshape(block.stop - block.start, -1)
        _times(block.weights, source, target, threads, cancel)
        finish(block.start, block.stop)


def _times(weights: FloatImage, source: FloatImage, out: FloatImage, threads: int | None, cancel: CancelToken) -> None:
    """Matrix product in columns that a core's cache holds, on every core."""

    def part(start: int, stop: int) -> None:
        np.matmul(weights, source[:, start:stop], out=out[:, start:stop])

    columns = source.shape[1]
    for_slabs(columns, part, slab=max(4096, -(-columns // 16)), progress=_silent, cancel=cancel, threads=threads)


def _silent(fraction: float, message: str = "") -> None:
    """Say nothing: the caller's progress goes by slices."""


def bounds_along(load: Load, shape: tuple[int, int, int], axis: int, cancel: CancelToken) -> tuple[Any, Any]:
    """Return the smallest and the largest value of each plane across an axis of an image."""
    others = tuple(a for a in range(3) if a != axis)

    def part(start: int, stop: int) -> tuple[Any, Any]:
        values = load(start, stop)
        return values.min(axis=others), values.max(axis=others)

    parts = for_slabs(shape[0], part, slab=slab_of(shape), progress=_silent, cancel=cancel)
    low, high = [p[0] for p in parts], [p[1] for p in parts]
    if axis == 0:
        return np.concatenate(low), np.concatenate(high)
    return np.min(low, axis=0), np.max(high, axis=0)
