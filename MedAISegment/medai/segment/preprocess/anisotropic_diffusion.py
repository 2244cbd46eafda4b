"""Curvature anisotropic diffusion: smooths regions and keeps their edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ..slabs import for_slabs
from ._base import Filter
from ._finite import require_finite
from ._flat_tiles import Scratch, Triple, for_tiles, inside, load
from ._values import real_type

Array = npt.NDArray[Any]
SLAB = 8
"""Slices updated at once; their neighbours' values before the update are kept aside."""
TILE_ROWS, TILE_COLUMNS = 32, 512
LEAST = 1e-10
"""Added to the squared gradient, so that flat regions do not divide by zero (ITK's value)."""


class AnisotropicDiffusionSettings(Settings):
    """How long and how selectively to diffuse."""

    iterations: int = Field(
        5, ge=1, le=200, title="Iterations", description="Steps of diffusion: more smooth more.",
    )  # fmt: skip
    conductance: float = Field(
        3.0, ge=1e-3, le=100, title="Conductance",
        description="Edges steeper than this many times the image's mean gradient stay; less keeps weaker edges.",
    )  # fmt: skip
    time_step: float | None = Field(
        None, ge=1e-6, le=10, title="Time step",
        description=(
            "Length of a step.  At most the smallest spacing in mm divided by 2^(axes + 1), else the diffusion is "
            "unstable; empty: that limit."
        ),
    )  # fmt: skip


class AnisotropicDiffusion(Filter):
    """Modified curvature diffusion: values flow along edges, not across them.

    R. T. Whitaker and X. Xue, Variable-conductance, level-set curvature for image denoising, ICIP 2001; the same scheme
    as SimpleITK's ``CurvatureAnisotropicDiffusionImageFilter``, with which the result agrees to rounding in float32.
    Gradients are per mm, so anisotropic grids are handled; the conductance is relative to the mean squared gradient,
    worked out again before every step.  Beyond the border the nearest voxel counts.  An axis of one voxel takes no part
    (and does not count for the limit of the time step).  The result is float32 (float64 stays float64); NaN or infinity
    anywhere is refused.
    """

    name = "anisotropic_diffusion"
    title = "Curvature anisotropic diffusion"
    group = "Denoise"
    weight = 10.0
    Settings = AnisotropicDiffusionSettings

    def apply(
        self, value: Volume, settings: AnisotropicDiffusionSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Volume:
        """Diffuse a scalar or colour image (each component alone).

        Raises
        ------
        SettingsError
            If the time step is above the stable limit.
        InputError
            If a voxel is NaN or infinite.
        """
        require_finite(value, self.title)
        spacing = value.geometry.spacing_kji
        active = [axis for axis, size in enumerate(value.geometry.shape) if size > 1]
        if not active:
            return value.replace(array=value.array.astype(real_type(value.array)))
        limit = min(spacing[axis] for axis in active) / 2 ** (len(active) + 1)
        step = limit if settings.time_step is None else settings.time_step
        if step > limit * (1 + 1e-6):
            raise SettingsError(
                f"anisotropic_diffusion.time_step: {step:g} is unstable on this grid, at most {limit:.6g} is stable.",
                hint="Leave it empty, or use a smaller one and more iterations.",
            )
        scale = {axis: 1.0 / spacing[axis] for axis in active}

        def diffuse(array: Array, ahead: ProgressFn) -> Array:
            result: Array = array.astype(real_type(array), order="C")
            for number in range(settings.iterations):
                part = sub_progress(ahead, number / settings.iterations, (number + 1) / settings.iterations)
                mean = _mean_squared_gradient(result, scale, sub_progress(part, 0.0, 0.15), cancel, self.title)
                if mean == 0.0:
                    break
                exponent = -2.0 * settings.conductance**2 * mean
                _diffuse(result, scale, exponent, step, sub_progress(part, 0.15, 1.0), cancel, self.title)
            return result

        return value.replace(array=by_component(value.array, diffuse, progress))


def _margin(scale: dict[int, float]) -> Triple:
    k, j, i = (1 if axis in scale else 0 for axis in range(3))
    return k, j, i


def _strides(size: Triple, margin: Triple) -> Triple:
    _, rows, columns = (n + 2 * m for n, m in zip(size, margin, strict=True))
    return rows * columns, columns, 1


def _mean_squared_gradient(
    image: Array, scale: dict[int, float], progress: ProgressFn, cancel: CancelToken, message: str
) -> float:
    margin = _margin(scale)
    shape = (image.shape[0], image.shape[1], image.shape[2])

    def one(scratch: Scratch, start: Triple, size: Triple) -> float:
        length = int(np.prod([n + 2 * m for n, m in zip(size, margin, strict=True)]))
        with scratch.arrays(3, length) as (u, d, total):
            load(image, start, margin, "nearest", u.reshape([n + 2 * m for n, m in zip(size, margin, strict=True)]))
            total[:] = 0
            for axis, factor in scale.items():
                s = _strides(size, margin)[axis]
                np.subtract(u[2 * s :], u[: -2 * s], out=d[s:-s])
                d[s:-s] *= 0.5 * factor
                np.multiply(d, d, out=d)
                total[s:-s] += d[s:-s]
            return float(inside(total, margin, size).sum(dtype=np.float64))

    tile = (SLAB, TILE_ROWS, TILE_COLUMNS)
    sums = for_tiles(shape, tile, one, dtype=image.dtype, progress=progress, cancel=cancel, message=message)
    return float(sum(sums)) / image.size


def _diffuse(
    image: Array, scale: dict[int, float], exponent: float, step: float, progress: ProgressFn, cancel: CancelToken,
    message: str,
) -> None:  # fmt: skip
    """Make one step in place."""
    slices = len(image)
    starts = range(0, slices, SLAB)
    below = {at: image[max(at - 1, 0)].copy() for at in starts}
    above = {at: image[min(at + SLAB, slices - 1)].copy() for at in starts}
    margin = _margin(scale)

    def one(start: int, stop: int) -> None:
        old = np.concatenate([below[start][None], image[start:stop], above[start][None]])
        scratch = Scratch(image.dtype)
        with np.errstate(all="ignore"):  # the margin's numbers mean nothing
            for j in range(0, image.shape[1], TILE_ROWS):
                for i in range(0, image.shape[2], TILE_COLUMNS):
                    size = (stop - start, min(TILE_ROWS, image.shape[1] - j), min(TILE_COLUMNS, image.shape[2] - i))
                    padded = [n + 2 * m for n, m in zip(size, margin, strict=True)]
                    with scratch.arrays(14, int(np.prod(padded))) as arrays:
                        load(old, (1, j, i), margin, "nearest", arrays[0].reshape(padded))
                        change = _change(arrays, _strides(size, margin), scale, exponent)
                        np.multiply(change, step, out=change)
                        image[start:stop, j : j + size[1], i : i + size[2]] += inside(change, margin, size)

    for_slabs(slices, one, slab=SLAB, progress=progress, cancel=cancel, message=message)


def _change(arrays: list[Array], strides: Triple, scale: dict[int, float], exponent: float) -> Array:
    """Return the rate of change of ``arrays[0]``; the others are overwritten."""
    u, speed, rising, falling, m, t, f = arrays[:7]
    forward = dict(zip(scale, arrays[7:10], strict=False))
    quarter = dict(zip(scale, arrays[10:13], strict=False))
    spare = arrays[13]
    speed[:] = rising[:] = falling[:] = 0
    for axis, factor in scale.items():
        s = strides[axis]
        d, g = forward[axis], quarter[axis]
        np.subtract(u[s:], u[:-s], out=d[:-s])
        d[:-s] *= factor
        d[-s:] = 0
        # Half of the central difference, so that two neighbours' sum is their mean.
        np.add(d[s:], d[:-s], out=g[s:])
        g[s:] *= 0.25
        g[:s] = 0
        # Upwind gradients, for a rising and for a falling front.
        np.maximum(d, 0, out=m)
        m *= m
        np.minimum(d, 0, out=t)
        t *= t
        rising += m
        rising[s:] += t[:-s]
        falling += t
        falling[s:] += m[:-s]
    for axis in scale:
        s = strides[axis]
        d = forward[axis]
        np.multiply(d, d, out=m)
        for other in scale:
            if other != axis:
                g = quarter[other]
                np.add(g[:-s], g[s:], out=t[:-s])
                t[:-s] *= t[:-s]
                m[:-s] += t[:-s]
        # The flow between a voxel and the next one along the axis: unit normal times conductance.
        np.divide(m, exponent, out=f)
        np.exp(f, out=f)
        m += LEAST
        np.sqrt(m, out=m)
        np.divide(d, m, out=spare)
        f *= spare
        speed += f
        speed[s:] -= f[:-s]
    np.copyto(falling, rising, where=speed > 0)
    np.sqrt(falling, out=falling)
    falling *= speed
    return falling
