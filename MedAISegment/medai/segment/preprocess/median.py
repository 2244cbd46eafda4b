"""Median filter over a box of voxels."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.sitk import to_array, to_sitk
from medai.core.volume import Volume

from ..slabs import cores, for_slabs
from ._base import Filter
from ._sliding_median import Radii, Worker, tile_for, worth_it

if TYPE_CHECKING:
    import SimpleITK

Array = npt.NDArray[Any]
LEAST_MEMORY, MOST_MEMORY = 64 << 20, 256 << 20
"""Bytes for the arrays of all threads: one and a half times the image's, within these bounds."""
MAX_THREADS = 4
"""NumPy's calls here are short, so more threads would wait for each other."""
SLAB = 16
"""Slices a call of SimpleITK: progress waits for one slab; cancelling stops inside it."""


class MedianSettings(Settings):
    """The size of the neighbourhood."""

    radius: int = Field(
        1, ge=1, le=10, title="Radius", description="Voxels on each side: 1 is a box of 3 x 3 x 3.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip


class Median(Filter):
    """Median of the box of (2 radius + 1) voxels along every axis; the type of the voxels is kept.

    The values are those of SimpleITK's ``MedianImageFilter``: beyond the border the nearest voxel's value counts.  A
    single slice is filtered in its plane only, and so along every axis of one voxel.  A voxel whose box holds a NaN
    becomes NaN.  Boxes up to radius 5 (16 bits a voxel; 4 for 32, 3 for 64) are sorted by networks of minima and maxima
    that neighbours share (:mod:`._sliding_median`); larger ones go to SimpleITK, for which a NaN has no defined place.
    """

    name = "median"
    title = "Median filter"
    group = "Denoise"
    requires = ("SimpleITK",)
    weight = 2.0
    Settings = MedianSettings

    def apply(self, value: Volume, settings: MedianSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Filter a scalar or colour volume (each component alone).

        Raises
        ------
        SettingsError
            If the box is larger than the image along an axis.
        """
        shape = value.geometry.shape
        k, j, i = (0 if size == 1 else settings.radius for size in shape)
        radii = (k, j, i)
        if any(2 * r + 1 > size for r, size in zip(radii, shape, strict=True)):
            raise SettingsError(
                f"median.radius: a box of {2 * settings.radius + 1} voxels is larger than the image {shape} (K, J, I).",
                hint="Use a smaller radius.",
            )
        source = value.array if value.array.ndim == 4 else value.array[..., None]
        result = np.empty(source.shape, source.dtype)
        if max(radii) == 0:
            result[...] = source
        elif worth_it(radii, _native(source).itemsize):
            _by_networks(source, result, radii, progress, cancel)
        else:
            _by_simpleitk(value.replace(array=source), result, radii, progress, cancel)
        return value.replace(array=result.reshape(value.array.shape))


def _native(source: Array) -> np.dtype[Any]:
    """Return the type to compute with: NumPy has no fast minimum of bool, float16 and foreign byte orders."""
    faster: dict[str, np.dtype[Any]] = {"?": np.dtype(np.uint8), "e": np.dtype(np.float32)}
    return faster.get(source.dtype.char, source.dtype.newbyteorder("="))


def _by_networks(source: Array, result: Array, radii: Radii, progress: ProgressFn, cancel: CancelToken) -> None:
    native = _native(source)
    shape = (source.shape[0], source.shape[1], source.shape[2])
    threads = min(cores(), MAX_THREADS)
    memory = min(MOST_MEMORY, max(LEAST_MEMORY, source.nbytes // source.shape[3] * 3 // 2))
    tile = tile_for(shape, radii, native.itemsize, memory // threads)
    starts = [
        (component, (k, j, i))
        for component in range(source.shape[3])
        for k in range(0, shape[0], tile[0])
        for j in range(0, shape[1], tile[1])
        for i in range(0, shape[2], tile[2])
    ]
    mine = threading.local()

    def one(number: int, _: int) -> None:
        if not hasattr(mine, "worker"):
            mine.worker = Worker(tile, radii, native)
        component, start = starts[number]
        with np.errstate(invalid="ignore"):
            mine.worker.median(source[..., component], start, result[..., component])

    for_slabs(len(starts), one, slab=1, progress=progress, cancel=cancel, message=Median.title, threads=threads)


def _by_simpleitk(value: Volume, result: Array, radii: Radii, progress: ProgressFn, cancel: CancelToken) -> None:
    source, shape = value.array, value.geometry.shape
    parts = list(range(0, shape[0], SLAB))
    for component in range(source.shape[3]):
        for number, start in enumerate(parts):
            cancel.check()
            stop = min(start + SLAB, shape[0])
            low, high = max(0, start - radii[0]), min(shape[0], stop + radii[0])
            slab = np.ascontiguousarray(source[low:high, :, :, component])
            grid = value.geometry.crop((low, 0, 0), (high - low, shape[1], shape[2]))
            done = to_array(_median(to_sitk(slab, grid), list(radii[::-1]), cancel))
            result[start:stop, :, :, component] = done[start - low : stop - low]
            progress((component * len(parts) + number + 1) / (len(parts) * source.shape[3]), Median.title)


def _median(image: SimpleITK.Image, radius: list[int], cancel: CancelToken) -> SimpleITK.Image:
    import SimpleITK as sitk

    method = sitk.MedianImageFilter()
    method.SetRadius(radius)
    method.AddCommand(sitk.sitkProgressEvent, lambda: method.Abort() if cancel.cancelled else None)
    try:
        return method.Execute(image)
    except RuntimeError:
        cancel.check()  # an aborted filter raises
        raise
