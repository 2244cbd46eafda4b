"""Smoothing and derivatives for edges, in mm and slab by slab; what ITK's edge filters compute, with less memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError, SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..histogram import value_range
from ..seeds import segments_of
from ..slabs import for_slabs, with_halo

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

MAXIMUM_ERROR = 0.01
"""Part of the Gaussian that its kernel leaves out at most before it is normalised (ITK's default)."""
LARGEST = 1e12
"""Products of three derivatives of larger values do not fit 32-bit numbers."""
SLAB_VOXELS = 1 << 20


class EdgeSettings(Settings):
    """Base of the settings of edge detectors."""

    sigma_mm: float = Field(
        1.0,
        ge=0,
        le=100,
        title="Sigma",
        description="Standard deviation of the Gaussian smoothing; 0: none.",
        json_schema_extra={"unit": "mm"},
    )
    name: str = Field("Edges", min_length=1, max_length=64, title="Name", description="Name of the segment.")


def slab_of(shape: tuple[int, ...]) -> int:
    """Return how many slices make a slab of about :data:`SLAB_VOXELS` voxels."""
    return max(1, SLAB_VOXELS // max(1, shape[1] * shape[2]))


@lru_cache(maxsize=16)
def kernel(variance: float) -> npt.NDArray[np.float64]:
    """Return the discrete Gaussian of a variance in voxels squared: exp(-t) I_n(t), cut off and normalised.

    Lindeberg, IEEE Trans. PAMI 12, 234 (1990), eq. 18; it ends where at least 1 - :data:`MAXIMUM_ERROR` is covered.
    """
    from scipy.special import ive

    half = [float(ive(0, variance)), float(ive(1, variance))]
    while half[0] + 2 * sum(half[1:]) < 1 - MAXIMUM_ERROR:
        half.append(float(ive(len(half), variance)))
    whole: npt.NDArray[np.float64] = np.array(half[:0:-1] + half)
    whole /= whole.sum()
    return whole


def require_moderate(volume: Volume, what: str, cancel: CancelToken) -> float:
    """Return the image's smallest finite value.

    Raises
    ------
    UnsupportedInput
        If the image is not scalar.
    InputError
        If there is no finite value, or one is larger than :data:`LARGEST`.
    """
    volume.require_scalar(what)
    low, high, _, _ = value_range(volume.array, None, cancel)
    if max(abs(low), abs(high)) > LARGEST:
        raise InputError(
            f"{what} takes values up to {LARGEST:g}, given {low:g} to {high:g}.", hint="Scale the image first."
        )
    return float(low)


def smoothed(
    volume: Volume, sigma_mm: float, low: float, *, progress: ProgressFn, cancel: CancelToken, message: str = ""
) -> Floats:
    """Return the image smoothed by a Gaussian of ``sigma_mm``, float32, shape (K, J, I).

    The result equals ``SimpleITK.DiscreteGaussian`` (variance in mm2, maximum error 0.01) without its limit of 32
    voxels for the kernel.  Beyond the border its voxels are repeated; an axis of one voxel stays as it is.

    Parameters
    ----------
    low : float
        What a NaN or infinite voxel counts as.

    Raises
    ------
    SettingsError
        If ``sigma_mm`` is wider than 100 voxels and than four times an axis.
    """
    from scipy.ndimage import correlate1d

    array = volume.array
    shape = array.shape
    for size, spacing in zip(shape, volume.geometry.spacing_kji, strict=True):
        # The kernel's length, and with it the time, has no other bound.
        if size > 1 and sigma_mm / spacing > max(4 * size, 100):
            raise SettingsError(
                f"sigma_mm: {sigma_mm:g} mm is too wide for an axis of {size * spacing:.3g} mm.",
                hint=f"Use at most {max(4 * size, 100) * spacing:.3g} mm.",
            )
    taps = [
        kernel((sigma_mm / spacing) ** 2) if size > 1 and sigma_mm > 0 else None
        for size, spacing in zip(shape, volume.geometry.spacing_kji, strict=True)
    ]
    halo = 0 if taps[0] is None else len(taps[0]) // 2
    result: Floats = np.empty(shape, dtype=np.float32)

    def part(start: int, stop: int) -> None:
        slab = with_halo(array, start, stop, halo, "nearest").astype(np.float32)
        if array.dtype.kind == "f":
            np.nan_to_num(slab, copy=False, nan=low, posinf=low, neginf=low)
        if taps[0] is not None:
            # Only the middle is kept, so what happens at the slab's own ends does not matter.
            slab = correlate1d(slab, taps[0], axis=0, mode="nearest")[halo : halo + stop - start]
        for axis in (1, 2):
            weights = taps[axis]
            if weights is not None:
                slab = correlate1d(slab, weights, axis=axis, mode="nearest")
        result[start:stop] = slab

    for_slabs(shape[0], part, slab=max(slab_of(shape), halo), progress=progress, cancel=cancel, message=message)
    return result


def padded(array: Floats, start: int, stop: int) -> Floats:
    """Return slices ``start - 1`` to ``stop + 1`` with one more voxel all around; the border's voxels are repeated."""
    return np.pad(with_halo(array, start, stop, 1, "nearest"), ((0, 0), (1, 1), (1, 1)), mode="edge")


def gradient(around: Floats, spacing_kji: tuple[float, float, float]) -> tuple[Floats, Floats, Floats]:
    """Return the central differences along K, J and I, per mm, of an array with one more voxel all around."""
    found = []
    for axis, spacing in enumerate(spacing_kji):
        ahead = tuple(slice(2, None) if a == axis else slice(1, -1) for a in range(3))
        behind = tuple(slice(0, -2) if a == axis else slice(1, -1) for a in range(3))
        difference = around[ahead] - around[behind]
        difference *= np.float32(0.5 / spacing)
        found.append(difference)
    return found[0], found[1], found[2]


def magnitude(smooth: Floats, start: int, stop: int, spacing_kji: tuple[float, float, float]) -> Floats:
    """Return the gradient's magnitude per mm in some slices; the same as ``SimpleITK.GradientMagnitude``."""
    parts = gradient(padded(smooth, start, stop), spacing_kji)
    total = parts[0]
    np.square(total, out=total)
    for part in parts[1:]:
        np.square(part, out=part)
        total += part
    return np.sqrt(total, out=total)


def percentile_of_magnitude(
    smooth: Floats, percent: float, spacing_kji: tuple[float, float, float], *, cancel: CancelToken
) -> float:
    """Return the gradient magnitude that ``percent`` % of the voxels do not exceed, to 1 %.

    Positive float32 numbers sort like their bits, so that the upper 16 bits are bins of equal relative width (2^-7).
    """
    shape = smooth.shape

    def part(start: int, stop: int) -> npt.NDArray[np.int64]:
        bits = magnitude(smooth, start, stop, spacing_kji).view(np.uint32) >> np.uint32(16)
        return np.bincount(bits.reshape(-1).astype(np.int32), minlength=1 << 15)

    counts = sum(for_slabs(shape[0], part, slab=slab_of(shape), progress=no_progress, cancel=cancel))
    below = np.cumsum(counts)
    place = int(np.searchsorted(below, percent / 100 * below[-1], side="left"))
    # the bin's upper end: what lies in it does not exceed it
    return float(np.array([(min(place, (1 << 15) - 1) + 1) << 16], dtype=np.uint32).view(np.float32)[0])


def crosses_zero(around: Floats) -> npt.NDArray[np.bool_]:
    """Return where an array, given with one more voxel all around, changes its sign towards a neighbour across a face.

    Of two neighbours the one nearer to zero is taken, and if they are as near, the first along the axis; a zero beside
    something else counts as a change (the rule of ITK's ``ZeroCrossingImageFilter``).
    """
    centre = around[1:-1, 1:-1, 1:-1]
    size = np.abs(centre)
    sign = np.sign(centre).astype(np.int8)
    result = np.zeros(centre.shape, dtype=np.bool_)
    for axis in range(3):
        for ahead in (False, True):
            side = slice(2, None) if ahead else slice(0, -2)
            other = around[tuple(side if a == axis else slice(1, -1) for a in range(3))]
            changes = sign != np.sign(other)
            distance = np.abs(other)
            changes &= (size <= distance) if ahead else (size < distance)
            result |= changes
    return result


def edge_labels(volume: Volume, mask: npt.NDArray[Any], name: str, meta: dict[str, Any]) -> LabelMap:
    """Return a mask as one segment; voxels without a value are taken out, and an empty mask is flagged."""
    if volume.array.dtype.kind == "f":
        for plane, values in zip(mask, volume.array, strict=True):
            plane &= np.isfinite(values)
    flags: tuple[QCFlag, ...] = ()
    if not mask.any():
        flags = (QCFlag("MASK_EMPTY", Severity.WARNING, "No edge is strong enough.", affects=name),)
    return LabelMap(mask.view(np.uint8), volume.geometry, segments_of([name]), flags, meta)
