"""Non-local means: the mean of voxels whose surroundings look alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ._base import Filter
from ._finite import require_finite
from ._flat_tiles import Scratch, Triple, for_tiles, inside, load
from ._noise import noise_sigma
from ._values import real_type

Array = npt.NDArray[Any]
TILE = (16, 64, 512)
CUTOFF = 5.0
"""Exponents beyond this count as no likeness at all (scikit-image's value)."""


class NonLocalMeansSettings(Settings):
    """Which voxels are compared, and how alike they must be."""

    patch_size: int = Field(
        3, ge=3, le=15, title="Patch size", description="Edge of the surroundings compared, in voxels; odd.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip
    patch_distance: int = Field(
        2, ge=1, le=15, title="Search distance", description="Farthest voxel looked at along each axis.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip
    noise_sigma: float | None = Field(
        None, ge=1e-6, le=1e9, title="Noise",
        description="Standard deviation of the noise in the image's intensities; empty: estimated from the image.",
    )  # fmt: skip
    strength: float = Field(
        0.8, ge=1e-3, le=10, title="Strength",
        description="Cut-off of the likeness in standard deviations of the noise (h / sigma): more smooths more.",
    )  # fmt: skip

    @field_validator("patch_size")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that a patch has a centre")
        return value


class NonLocalMeans(Filter):
    """Weighted mean over a search box, by how alike the patches around two voxels are.

    A. Buades, B. Coll and J.-M. Morel, CVPR 2005, in the fast form of J. Froment, IPOL 2014, as
    :func:`skimage.restoration.denoise_nl_means` with ``fast_mode=True``, ``sigma`` the noise and ``h`` strength times
    the noise.  What holds there holds here: the image is mirrored about the centre of its last voxels, and the patch of
    size s around a voxel covers s - 1 voxels along each axis, from 1 - s // 2 to s // 2, so that a flipped image gives
    another result, most of all at edges (a mean difference of 1 at edges of 120 was seen).  The one difference is that
    scikit-image's exponential is an approximation, off by a few percent.  Integers are not scaled.

    An axis of one voxel takes no part.  The noise is estimated by :func:`._noise.noise_sigma`; an image without noise
    is returned as it is.  The result is float32 (float64 stays float64); NaN or infinity anywhere is refused.
    """

    name = "non_local_means"
    title = "Non-local means"
    group = "Denoise"
    weight = 20.0
    Settings = NonLocalMeansSettings

    def apply(
        self, value: Volume, settings: NonLocalMeansSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Volume:
        """Filter a scalar or colour image (each component alone).

        Raises
        ------
        InputError
            If a voxel is NaN or infinite.
        """
        require_finite(value, self.title)

        def smooth(array: Array, ahead: ProgressFn) -> Array:
            sigma = noise_sigma(array) if settings.noise_sigma is None else settings.noise_sigma
            if sigma == 0.0 or array.size == 1:
                return array.astype(real_type(array))
            result: Array = np.empty(array.shape, real_type(array))
            _means(array, result, settings, sigma, ahead, cancel, self.title)
            return result

        return value.replace(array=by_component(value.array, smooth, progress))


def _means(
    image: Array, result: Array, settings: NonLocalMeansSettings, sigma: float, progress: ProgressFn,
    cancel: CancelToken, message: str,
) -> None:  # fmt: skip
    half = settings.patch_size // 2
    active = [size > 1 for size in image.shape]
    far: Triple = tuple(settings.patch_distance * on for on in active)
    margin: Triple = tuple((settings.patch_distance + half) * on for on in active)
    offsets = [
        (k, j, i)
        for k in range(-far[0], far[0] + 1)
        for j in range(-far[1], far[1] + 1)
        for i in range(-far[2], far[2] + 1)
        if (k, j, i) > (0, 0, 0)
    ]
    # Distances in units of the exponent: squared differences, summed over the patch, less what noise explains.
    patch = sum(active)
    scale = 1.0 / (settings.strength * sigma * settings.patch_size ** (patch / 2))
    explained = 2.0 * (sigma * scale) ** 2 * (2 * half) ** patch

    def one(scratch: Scratch, start: Triple, size: Triple) -> None:
        padded = [n + 2 * m for n, m in zip(size, margin, strict=True)]
        strides = (padded[1] * padded[2], padded[2], 1)
        steps = [step for step, on in zip(strides, active, strict=True) if on]
        with scratch.arrays(6, math.prod(padded)) as (u, total, moved, d, w, spare):
            load(image, start, margin, "mirror", u.reshape(padded))
            u *= scale
            total[:] = 1  # the own weight
            moved[:] = 0
            for k, j, i in offsets:
                cancel.check()
                step = k * strides[0] + j * strides[1] + i
                here, there = slice(None, -step), slice(step, None)
                np.subtract(u[there], u[here], out=d[here])
                np.multiply(d[here], d[here], out=w[here])
                alike = _patch_sums(w, spare, steps, half)
                a = alike[here]
                a -= explained
                np.maximum(a, 0, out=a)
                np.negative(a, out=a)
                other = w if alike is spare else spare
                b = other[here]
                np.exp(a, out=b)
                np.multiply(b, a >= -CUTOFF, out=b)
                total[here] += b
                total[there] += b
                b *= d[here]
                moved[here] += b
                moved[there] -= b
            moved /= total
            moved += u
            moved /= scale
            box = tuple(slice(at, at + n) for at, n in zip(start, size, strict=True))
            result[box] = inside(moved, margin, size)

    shape = (image.shape[0], image.shape[1], image.shape[2])
    for_tiles(shape, TILE, one, dtype=result.dtype, progress=progress, cancel=cancel, message=message)


def _patch_sums(values: Array, spare: Array, steps: list[int], half: int) -> Array:
    """Sum ``values`` over 1 - half to half along each axis; returns one of the two arrays, both are overwritten."""
    source, target = values, spare
    for step in steps:
        if half == 1:
            np.add(source[:-step], source[step:], out=target[:-step])
        else:
            # The window begins half - 1 before the voxel.
            lead = (half - 1) * step
            length = len(source) - (2 * half - 1) * step
            middle = target[lead : lead + length]
            np.add(source[:length], source[step : step + length], out=middle)
            for number in range(2, 2 * half):
                middle += source[number * step : number * step + length]
        source, target = target, source
    return source
