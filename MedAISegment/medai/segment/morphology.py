"""Binary dilation, erosion, opening and closing with a ball in mm, exact on anisotropic grids.

A mask is packed to one bit a voxel.  A ball is a set of lines along I: for each step (dk, dj) a half-width in voxels.
The packed mask is widened along I one voxel at a time, and for each half-width it is laid over the result at the steps
that have it.  Each of these is an OR of whole words, so 64 voxels cost one instruction.  Large balls are cheaper by the
distance transform.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from .distance import distance_mm
from .slabs import for_slabs

Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
TOLERANCE = 1e-5
"""A voxel belongs to the ball up to this share of the radius beyond it: 3 steps of 0.1 mm are within 0.3 mm."""
LARGEST_CLOSED = 1 << 30
"""Voxels of a mask with room around it that are always taken."""
MOST_LINES = 4000
"""Balls of more lines than this go by the distance transform, which takes the same time for every radius."""


def reach(radius_mm: float, spacing_kji: tuple[float, float, float], flat: int | None = None) -> tuple[int, int, int]:
    """Return how many voxels a ball reaches along K, J, I; 0 along the axis ``flat`` of a disk."""
    k, j, i = (0 if axis == flat else int(radius_mm * (1 + TOLERANCE) / s) for axis, s in enumerate(spacing_kji))
    return k, j, i


def dilated(
    mask: Mask,
    radius_mm: float,
    spacing_kji: tuple[float, float, float],
    *,
    flat: int | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Mask:
    """Return every voxel within ``radius_mm`` of the mask, measured between centres.

    Equal to ``scipy.ndimage.binary_dilation`` with the ball as its structure: nothing comes in from beyond the image.

    Parameters
    ----------
    mask : bool array, shape (K, J, I)
    radius_mm : float
        Below the spacing of every axis nothing changes.
    spacing_kji : tuple of float
        Voxel size in mm along K, J, I.
    flat : {0, 1, 2}, optional
        Array axis along which nothing moves: each plane across it is dilated alone, with a disk.
    progress, cancel
        See :mod:`medai.core.progress`.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    return _spread(mask, False, radius_mm, spacing_kji, flat, progress, cancel or CancelToken())


def eroded(
    mask: Mask,
    radius_mm: float,
    spacing_kji: tuple[float, float, float],
    *,
    flat: int | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Mask:
    """Return the voxels of the mask with no voxel of the image outside the mask within ``radius_mm``.

    What lies beyond the image is unknown and erodes nothing: equal to ``scipy.ndimage.binary_erosion`` with
    ``border_value=1``.

    Parameters
    ----------
    mask, radius_mm, spacing_kji, flat, progress, cancel
        See :func:`dilated`.
    """
    return _spread(mask, True, radius_mm, spacing_kji, flat, progress, cancel or CancelToken())


def opened(
    mask: Mask,
    radius_mm: float,
    spacing_kji: tuple[float, float, float],
    *,
    flat: int | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Mask:
    """Return the parts of the mask into which the ball fits: erosion, then dilation.

    Parameters
    ----------
    mask, radius_mm, spacing_kji, flat, progress, cancel
        See :func:`dilated`.
    """
    core = eroded(mask, radius_mm, spacing_kji, flat=flat, progress=sub_progress(progress, 0.0, 0.5), cancel=cancel)
    return dilated(core, radius_mm, spacing_kji, flat=flat, progress=sub_progress(progress, 0.5, 1.0), cancel=cancel)


def closed(
    mask: Mask,
    radius_mm: float,
    spacing_kji: tuple[float, float, float],
    *,
    flat: int | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Mask:
    """Return the mask and every gap into which the ball does not fit: dilation, then erosion.

    Beyond the image lies background: a gap between the mask and the image's border stays open.

    Parameters
    ----------
    mask, radius_mm, spacing_kji, flat, progress, cancel
        See :func:`dilated`.

    Raises
    ------
    InputError
        If the radius is so many voxels that the image with room for it around it would not fit in memory.
    """
    # One more voxel than the ball reaches holds the background that the erosion must see.
    margins = [n + (axis != flat) for axis, n in enumerate(reach(radius_mm, spacing_kji, flat))]
    voxels = math.prod(size + 2 * n for n, size in zip(margins, mask.shape, strict=True))
    if voxels > max(LARGEST_CLOSED, 8 * mask.size):
        raise InputError(
            f"Closing by {radius_mm:g} mm would need {voxels:.2g} voxels around a mask of {mask.size}.",
            hint="Use a smaller radius.",
        )
    grown = dilated(
        np.pad(mask, [(n, n) for n in margins]),
        radius_mm,
        spacing_kji,
        flat=flat,
        progress=sub_progress(progress, 0.0, 0.5),
        cancel=cancel,
    )
    shrunk = eroded(grown, radius_mm, spacing_kji, flat=flat, progress=sub_progress(progress, 0.5, 1.0), cancel=cancel)
    k, j, i = (slice(n, n + size) for n, size in zip(margins, mask.shape, strict=True))
    return shrunk[k, j, i]


def _spread(
    mask: Mask,
    invert: bool,
    radius_mm: float,
    spacing_kji: tuple[float, float, float],
    flat: int | None,
    progress: ProgressFn,
    cancel: CancelToken,
) -> Mask:
    """Dilate the mask, or with ``invert`` what is outside it, and return the mask again."""
    if flat == 2:
        # A disk across I is cheap as lines too, once I is not the axis of the words.
        k, j, i = spacing_kji
        turned = np.ascontiguousarray(mask.swapaxes(1, 2))
        return _spread(turned, invert, radius_mm, (k, i, j), 1, progress, cancel).swapaxes(1, 2)
    # Steps that leave the image change nothing.
    k, j, i = (min(n, size - 1) for n, size in zip(reach(radius_mm, spacing_kji, flat), mask.shape, strict=True))
    lines = _lines(radius_mm, spacing_kji, (k, j, i))
    if flat is None and sum(map(len, lines)) > MOST_LINES:
        found = distance_mm(mask if invert else ~mask, spacing_kji, progress=progress, cancel=cancel)
        limit = radius_mm * (1 + TOLERANCE)
        return found > limit if invert else found <= limit
    result = np.empty(mask.shape, dtype=np.bool_)

    def part(start: int, stop: int) -> None:
        low, high = max(0, start - k), min(len(mask), stop + k)
        source = mask[low:high]
        words = _pack(~source if invert else source)
        total = np.zeros((stop - start, *words.shape[1:]), dtype=np.uint64)
        for width, steps in enumerate(lines):
            if width:
                words = _wider(words)
            for dk, dj in steps:
                to_k, from_k = _overlap(start, stop, low, high, dk)
                to_j, from_j = _overlap(0, mask.shape[1], 0, mask.shape[1], dj)
                target = total[to_k, to_j]
                np.bitwise_or(target, words[from_k, from_j], out=target)
        found = _unpack(total, mask.shape[2])
        np.logical_not(found, out=result[start:stop]) if invert else np.copyto(result[start:stop], found)

    # Slices of a slab's halo are packed twice: few where the slab is thick, but a thick slab leaves the cache.
    for_slabs(len(mask), part, slab=max(16, 2 * k), progress=progress, cancel=cancel, message="Ball")
    return result


def _lines(
    radius_mm: float, spacing_kji: tuple[float, float, float], most: tuple[int, int, int]
) -> list[list[tuple[int, int]]]:
    """Return, for each half-width along I from 0 on, the steps (dk, dj) at which the ball is so wide."""
    limit = (radius_mm * (1 + TOLERANCE)) ** 2
    lines: list[list[tuple[int, int]]] = [[] for _ in range(most[2] + 1)]
    for dk in range(-most[0], most[0] + 1):
        for dj in range(-most[1], most[1] + 1):
            rest = limit - (dk * spacing_kji[0]) ** 2 - (dj * spacing_kji[1]) ** 2
            if rest >= 0:
                lines[min(most[2], int(math.sqrt(rest) / spacing_kji[2]))].append((dk, dj))
    return lines


def _overlap(start: int, stop: int, low: int, high: int, step: int) -> tuple[slice, slice]:
    """Return slices of a target (start to stop) and a source (low to high), the source ``step`` further on."""
    first, last = max(start, low - step), min(stop, high - step)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    return slice(first - start, last - start), slice(first + step - low, last + step - low)


def _pack(mask: Mask) -> Words:
    """Return a mask (K, J, I) as words (K, J, I / 64 rounded up): bit n of word w is voxel 64 w + n."""
    octets = np.packbits(mask, axis=2, bitorder="little")
    whole = np.zeros((*mask.shape[:2], -(-mask.shape[2] // 64) * 8), dtype=np.uint8)
    whole[..., : octets.shape[2]] = octets
    return np.asarray(whole.view("<u8").astype(np.uint64, copy=False))


def _unpack(words: Words, count: int) -> Mask:
    octets: npt.NDArray[Any] = words.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, axis=2, count=count, bitorder="little").view(np.bool_)


def _wider(words: Words) -> Words:
    """Return words in which each set bit's two neighbours along I are set too."""
    one, top = np.uint64(1), np.uint64(63)
    result = words << one
    result |= words
    result |= words >> one
    result[..., 1:] |= words[..., :-1] >> top
    result[..., :-1] |= words[..., 1:] << top
    return result
