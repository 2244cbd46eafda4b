"""Bilateral filter: a Gaussian mean of neighbours that are near and alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ._base import Filter
from ._finite import require_finite
from ._flat_tiles import Scratch, Triple, for_tiles, inside, load
from ._values import real_type

Array = npt.NDArray[Any]
TILE = (16, 64, 512)
REACH = 2.5
"""The neighbourhood ends this many domain sigmas from its centre (ITK's value)."""


class BilateralSettings(Settings):
    """How near and how alike neighbours are."""

    domain_sigma_mm: float = Field(
        1.0, ge=1e-3, le=50, title="Domain sigma",
        description="Standard deviation in mm of the weight by distance.", json_schema_extra={"unit": "mm"},
    )  # fmt: skip
    range_sigma: float = Field(
        50.0, ge=1e-6, le=1e9, title="Range sigma",
        description="Standard deviation, in the image's intensities, of the weight by difference: about the contrast "
        "of the edges that stay.",
    )  # fmt: skip


class Bilateral(Filter):
    """Weighted mean of a box of neighbours, by Gaussians of their distance and of their difference in intensity.

    C. Tomasi and R. Manduchi, Bilateral filtering for gray and color images, ICCV 1998.  The box reaches 2.5 domain
    sigmas, rounded up to whole voxels, as in SimpleITK's ``BilateralImageFilter``; beyond the border the nearest voxel
    counts.  The weights are computed, where SimpleITK reads them from a table that ends at 4 range sigmas, so the two
    agree the better the more ``numberOfRangeGaussianSamples`` it is given.  An axis of one voxel takes no part.  The
    result is float32 (float64 stays float64); NaN or infinity anywhere is refused.
    """

    name = "bilateral"
    title = "Bilateral filter"
    group = "Denoise"
    weight = 20.0
    Settings = BilateralSettings

    def apply(self, value: Volume, settings: BilateralSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Filter a scalar or colour image (each component alone).

        Raises
        ------
        SettingsError
            If the box is larger than the image along an axis.
        InputError
            If a voxel is NaN or infinite.
        """
        require_finite(value, self.title)
        shape, spacing = value.geometry.shape, value.geometry.spacing_kji
        k, j, i = (
            math.ceil(REACH * settings.domain_sigma_mm / step) if size > 1 else 0
            for size, step in zip(shape, spacing, strict=True)
        )
        if any(2 * r + 1 > max(size, 3) for r, size in zip((k, j, i), shape, strict=True)):
            raise SettingsError(
                f"bilateral.domain_sigma_mm: {settings.domain_sigma_mm:g} mm needs a box of "
                f"{(2 * k + 1, 2 * j + 1, 2 * i + 1)} voxels, larger than the image {shape} (K, J, I).",
                hint="Use a smaller sigma.",
            )
        weights = _half_box((k, j, i), spacing, settings.domain_sigma_mm)

        def smooth(array: Array, ahead: ProgressFn) -> Array:
            result: Array = np.empty(array.shape, real_type(array))
            _bilateral(array, result, (k, j, i), weights, settings.range_sigma, ahead, cancel, self.title)
            return result

        return value.replace(array=by_component(value.array, smooth, progress))


def _half_box(reach: Triple, spacing: tuple[float, float, float], sigma: float) -> list[tuple[Triple, float]]:
    """Return the offsets that come after the centre, with the exponents of their weights by distance."""
    ranges = [range(-r, r + 1) for r in reach]
    found = []
    for k in ranges[0]:
        for j in ranges[1]:
            for i in ranges[2]:
                if (k, j, i) > (0, 0, 0):
                    distance = (k * spacing[0]) ** 2 + (j * spacing[1]) ** 2 + (i * spacing[2]) ** 2
                    found.append(((k, j, i), distance / (2 * sigma**2)))
    return found


def _bilateral(
    image: Array, result: Array, margin: Triple, weights: list[tuple[Triple, float]], sigma: float,
    progress: ProgressFn, cancel: CancelToken, message: str,
) -> None:  # fmt: skip
    scale = 1.0 / (math.sqrt(2.0) * sigma)

    def one(scratch: Scratch, start: Triple, size: Triple) -> None:
        padded = [n + 2 * m for n, m in zip(size, margin, strict=True)]
        with scratch.arrays(5, math.prod(padded)) as (u, total, moved, d, w):
            load(image, start, margin, "nearest", u.reshape(padded))
            u *= scale  # differences in units of the exponent
            total[:] = 1  # the centre's own weight
            moved[:] = 0
            for (k, j, i), exponent in weights:
                cancel.check()  # a wide box has thousands of offsets
                step = (k * padded[1] + j) * padded[2] + i
                here, there = slice(None, -step), slice(step, None)
                # The weight of a pair is the same seen from either.
                np.subtract(u[there], u[here], out=d[here])
                np.multiply(d[here], d[here], out=w[here])
                np.subtract(-exponent, w[here], out=w[here])
                np.exp(w[here], out=w[here])
                total[here] += w[here]
                total[there] += w[here]
                w[here] *= d[here]
                moved[here] += w[here]
                moved[there] -= w[here]
            moved /= total
            moved += u
            moved /= scale
            box = tuple(slice(at, at + n) for at, n in zip(start, size, strict=True))
            result[box] = inside(moved, margin, size)

    shape = (image.shape[0], image.shape[1], image.shape[2])
    for_tiles(shape, TILE, one, dtype=result.dtype, progress=progress, cancel=cancel, message=message)
