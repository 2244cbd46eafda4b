"""Sharpening by the Laplacian."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..colour import ColourSettings, by_component
from ..histogram import value_range
from ..slabs import for_slabs, with_halo
from ._base import Filter
from ._values import constant_flag, real_type

SLAB_VOXELS = 1 << 20


class LaplacianSharpenSettings(ColourSettings):
    """How much to sharpen."""

    amount: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Amount",
        description="1 subtracts a Laplacian as wide in range as the image, which is strong; less is gentler.",
    )
    use_spacing: bool = Field(
        True, title="Use spacing", description="Differences per mm along every axis; otherwise per voxel."
    )


class LaplacianSharpen(Filter):
    """The image minus its Laplacian, scaled to the image's range; edges become steeper.

    With ``amount`` 1 that is SimpleITK's ``LaplacianSharpeningImageFilter``: the sum of the second differences along
    the axes, stretched to the range of the image, is subtracted, the mean is kept, and the result is clipped to the
    image's range.  Beyond the border the nearest voxel's value counts, so that an axis of one voxel adds nothing.  The
    result is float32 (float64 stays float64).  Voxels that are NaN or infinite stay, their neighbours keep their value.
    A constant image, or one without curvature, is returned unchanged with the flag ``INT_CONSTANT``.
    """

    name = "laplacian_sharpen"
    title = "Laplacian sharpening"
    group = "Enhance"
    weight = 3.0
    Settings = LaplacianSharpenSettings

    def apply(
        self, value: Volume, settings: LaplacianSharpenSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Volume:
        """Sharpen a scalar or colour volume.

        Raises
        ------
        InputError
            If there is no finite value.
        """
        spacing = value.geometry.spacing_kji if settings.use_spacing else (1.0, 1.0, 1.0)
        weights = (spacing[0] ** -2, spacing[1] ** -2, spacing[2] ** -2)
        flags: list[QCFlag] = []

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            low, high = (float(v) for v in value_range(array, None, cancel)[:2])
            slab = max(1, SLAB_VOXELS // array[0].size)
            first = sub_progress(part, 0.0, 0.5)

            def look(start: int, stop: int) -> _Seen:
                return _seen(_laplacian(array, start, stop, weights))

            parts = for_slabs(len(array), look, slab=slab, progress=first, cancel=cancel, message=self.title)
            lowest, highest = min(p.low for p in parts), max(p.high for p in parts)
            if not highest > lowest:
                flags.append(constant_flag(self.title))
                return array.astype(real_type(array))
            mean = math.fsum(p.total for p in parts) / sum(p.number for p in parts)
            scale = settings.amount * (high - low) / (highest - lowest)
            result = np.empty(array.shape, dtype=real_type(array))

            def write(start: int, stop: int) -> None:
                change = _laplacian(array, start, stop, weights)
                centre = array[start:stop]
                known = np.isfinite(change)
                with np.errstate(all="ignore"):
                    change -= mean
                    change *= -scale
                    change += centre
                    np.clip(change, low, high, out=change)
                result[start:stop] = np.where(known, change, centre)

            second = sub_progress(part, 0.5, 1.0)
            for_slabs(len(array), write, slab=slab, progress=second, cancel=cancel, message=self.title)
            return result

        return value.replace(array=by_component(value.array, one, progress, settings.colour)).with_flags(*flags)


class _Seen(NamedTuple):
    """Range, sum and number of the finite values of a slab."""

    low: float
    high: float
    total: float
    number: int


def _seen(values: npt.NDArray[Any]) -> _Seen:
    finite = np.isfinite(values)
    if not finite.all():
        values = values[finite]
    if not values.size:
        return _Seen(math.inf, -math.inf, 0.0, 0)
    return _Seen(float(values.min()), float(values.max()), float(values.sum(dtype=np.float64)), values.size)


def _laplacian(array: npt.NDArray[Any], start: int, stop: int, weights: tuple[float, float, float]) -> npt.NDArray[Any]:
    """Return the weighted sum of second differences of some slices; not finite where a neighbour is not."""
    dtype = real_type(array) if array.dtype.itemsize <= 2 or array.dtype.kind == "f" else np.dtype(np.float64)
    slab = with_halo(array, start, stop, 1, "nearest").astype(dtype)
    centre = slab[1:-1]
    with np.errstate(all="ignore"):
        result: npt.NDArray[Any] = slab[2:] + slab[:-2]
        result -= 2 * centre
        result *= weights[0]
        for axis in (1, 2):
            if centre.shape[axis] == 1:
                continue
            step = np.diff(centre, axis=axis)
            step *= weights[axis]
            front, back = [slice(None)] * 3, [slice(None)] * 3
            front[axis], back[axis] = slice(None, -1), slice(1, None)
            # What lies beyond the border equals the border voxel, so only the inner difference counts there.
            result[tuple(front)] += step
            result[tuple(back)] -= step
    return result
