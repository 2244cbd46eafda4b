"""Total variation denoising after Chambolle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ._base import Filter
from ._finite import require_finite
from ._flat_tiles import Scratch, Triple, for_tiles
from ._values import real_type

Array = npt.NDArray[Any]
TILE = (4, 64, 512)


class TotalVariationSettings(Settings):
    """How much to flatten, and when to stop."""

    weight: float = Field(
        10.0, ge=1e-6, le=1e9, title="Weight",
        description="In the image's own intensities: about the height of the noise to be removed; more flattens more.",
    )  # fmt: skip
    tolerance: float = Field(
        2e-4, ge=1e-9, lt=1, title="Tolerance",
        description="Stop when the cost falls by less than this share of its first value.",
    )  # fmt: skip
    max_iterations: int = Field(
        200, ge=1, le=10000, title="Most iterations", description="Stop after these at the latest."
    )


class TotalVariation(Filter):
    """The image of least total variation near the given one: flat regions, sharp edges.

    A. Chambolle, An algorithm for total variation minimization and applications, J. Math. Imaging Vis. 2004; the same
    iteration, borders and stopping rule as :func:`skimage.restoration.denoise_tv_chambolle`, with which the result
    agrees to rounding in float32.  Unlike there integers are not scaled to 0..1: the weight is in the image's own
    intensities.  Differences are per voxel whatever the spacing.  An axis of one voxel takes no part.  The result is
    float32 (float64 stays float64); NaN or infinity anywhere is refused.

    The dual field has one component per axis, so with the result four float32 volumes are held: eight times the memory
    of an int16 image.
    """

    name = "total_variation"
    title = "Total variation (Chambolle)"
    group = "Denoise"
    weight = 20.0
    Settings = TotalVariationSettings

    def apply(
        self, value: Volume, settings: TotalVariationSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Volume:
        """Filter a scalar or colour image (each component alone).

        Raises
        ------
        InputError
            If a voxel is NaN or infinite.
        """
        require_finite(value, self.title)

        def flatten(array: Array, ahead: ProgressFn) -> Array:
            return _chambolle(array, settings, ahead, cancel, self.title)

        return value.replace(array=by_component(value.array, flatten, progress))


def _chambolle(
    image: Array, settings: TotalVariationSettings, progress: ProgressFn, cancel: CancelToken, message: str
) -> Array:
    dtype = real_type(image)
    axes = [axis for axis, size in enumerate(image.shape) if size > 1]
    result: Array = image.astype(dtype, order="C")
    if not axes:
        return result
    dual = [np.zeros(image.shape, dtype) for _ in axes]
    shape = (image.shape[0], image.shape[1], image.shape[2])
    step = 1.0 / (2.0 * len(axes))
    first = before = 0.0
    for number in range(settings.max_iterations):
        part = sub_progress(progress, number / settings.max_iterations, (number + 1) / settings.max_iterations)

        def estimate(scratch: Scratch, start: Triple, size: Triple) -> float:
            """Write the image less the dual field's divergence; return the sum of its squared change."""
            box = tuple(slice(at, at + n) for at, n in zip(start, size, strict=True))
            with scratch.arrays(1, int(np.prod(size))) as (flat,):
                change = flat.reshape(size)
                change[...] = 0
                for axis, p in zip(axes, dual, strict=True):
                    change -= p[box]
                    # The last value along an axis is never read: nothing flows out of the image.
                    skip = 1 if start[axis] == 0 else 0
                    target = _cut(change, axis, skip, size[axis])
                    target += _cut(p[_widen(box, axis, skip - 1, -1)], axis, 0, size[axis] - skip)
                np.add(image[box], change, out=result[box], dtype=dtype, casting="unsafe")
                return float(np.square(change, out=change).sum(dtype=np.float64))

        def update(scratch: Scratch, start: Triple, size: Triple) -> float:
            """Move the dual field along the estimate's gradient; return the total variation."""
            box = tuple(slice(at, at + n) for at, n in zip(start, size, strict=True))
            with scratch.arrays(len(axes) + 1, int(np.prod(size))) as arrays:
                norm = arrays[0].reshape(size)
                norm[...] = 0
                gradients = [one.reshape(size) for one in arrays[1:]]
                for axis, g in zip(axes, gradients, strict=True):
                    here = min(size[axis], shape[axis] - 1 - start[axis])
                    inner = _cut(g, axis, 0, here)
                    ahead = result[_widen(box, axis, 1, 1)]
                    np.subtract(_cut(ahead, axis, 0, here), _cut(result[box], axis, 0, here), out=inner)
                    _cut(g, axis, here, size[axis])[...] = 0
                for g in gradients:
                    norm += g * g
                np.sqrt(norm, out=norm)
                total = float(norm.sum(dtype=np.float64))
                norm *= step / settings.weight
                norm += 1
                for g, p in zip(gradients, dual, strict=True):
                    g *= step
                    place = p[box]
                    place -= g
                    place /= norm
                return total

        fit = 0.0
        if number:
            ahead = sub_progress(part, 0.0, 0.4)
            fit = sum(for_tiles(shape, TILE, estimate, dtype=dtype, progress=ahead, cancel=cancel, message=message))
        ahead = sub_progress(part, 0.4, 1.0)
        total = sum(for_tiles(shape, TILE, update, dtype=dtype, progress=ahead, cancel=cancel, message=message))
        cost = (fit + settings.weight * total) / image.size
        if number == 0:
            first = cost
        elif abs(before - cost) < settings.tolerance * first:
            break
        before = cost
    return result


def _cut(array: Array, axis: int, start: int, stop: int) -> Array:
    index = [slice(None)] * 3
    index[axis] = slice(start, stop)
    return array[tuple(index)]


def _widen(box: tuple[slice, ...], axis: int, low: int, high: int) -> tuple[slice, ...]:
    """Move a box's ends along an axis; never below 0."""
    moved = slice(max(0, box[axis].start + low), max(0, box[axis].stop + high))
    return tuple(moved if number == axis else one for number, one in enumerate(box))
