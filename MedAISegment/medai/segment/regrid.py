"""Put an image onto another grid: slab by slab on every core where the axes are parallel, by SimpleITK where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.resample import reorient_array
from medai.core.separable import AxisSampler, Interpolator, axis_positions, axis_sampler, sample_axis
from medai.core.sitk import to_sitk

from .sitk_run import execute
from .slabs import for_slabs

Array = npt.NDArray[Any]
SLAB_VOXELS = 1 << 22
"""Voxels of the image, or of the result, that a call works on."""


def check_size(shape: tuple[int, int, int], limit: int, where: str, hint: str) -> None:
    """Refuse a result that is too large.

    Raises
    ------
    SettingsError
        Naming the size and the limit.
    """
    k, j, i = shape
    if k * j * i > limit:
        raise SettingsError(
            f"{where}: the result would have {i} x {j} x {k} voxels, {k * j * i / 1e6:.0f} million; the limit is "
            f"{limit / 1e6:g} million.",
            hint=hint,
        )


def regrid(
    array: Array,
    source: Geometry,
    target: Geometry,
    interpolator: Interpolator,
    *,
    fill: float,
    sigma_kji: tuple[float, float, float] = (0.0, 0.0, 0.0),
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> Array:
    """Sample a scalar array at the voxel centres of another grid.

    Parameters
    ----------
    array : array, shape (K, J, I)
        Never changed.
    source, target : Geometry
        Its grid, and the grid wanted.
    interpolator : {"nearest", "linear", "bspline"}
        See :func:`medai.core.separable.axis_sampler`; results agree with SimpleITK's ``ResampleImageFilter``.
    fill : float
        Value outside the source's box, half a voxel beyond the outer centres.
    sigma_kji : tuple of float
        Gaussian smoothing before sampling, in voxels of the source; parallel axes only.

    Returns
    -------
    array, shape (K, J, I) of the target
        float32, or float64 for float64; the array's own type for ``nearest``.
    """
    # Axes that only swap or point the other way are parallel too.
    turned, grid = reorient_array(array, source, target.orientation)
    positions = axis_positions(grid, target)
    if positions is None:
        return _by_sitk(array, source, target, interpolator, fill, progress, cancel, message)
    dtype = np.float64 if array.dtype == np.float64 else np.float32
    samplers = [
        axis_sampler(where, size, interpolator, sigma, dtype)
        for where, size, sigma in zip(positions, grid.shape, sigma_kji, strict=True)
    ]
    result = _separable(turned, samplers, progress, cancel, message)
    for axis, sampler in enumerate(samplers):
        if not sampler.inside.all():
            np.moveaxis(result, axis, 0)[~sampler.inside] = fill
    return result


def _separable(
    array: Array, samplers: list[AxisSampler], progress: ProgressFn, cancel: CancelToken, message: str
) -> Array:
    along_k, along_j, along_i = samplers
    nearest = along_k.matrix is None
    dtype = array.dtype.newbyteorder("=") if nearest else along_k.matrix.dtype
    result = np.empty((along_k.samples, along_j.samples, along_i.samples), dtype=dtype)
    growth_k = along_k.samples / along_k.size
    growth_plane = along_j.samples * along_i.samples / (along_j.size * along_i.size)
    # The axis that shrinks the image most comes first: what follows has less to do.
    k_first = nearest or growth_k < growth_plane

    def in_plane(plane: Array) -> Array:
        whole: Array = sample_axis(sample_axis(plane[None], along_j, 1), along_i, 2)
        return np.asarray(whole[0])

    def part(start: int, stop: int) -> None:
        low, high = along_k.reach(start, stop)
        slices = array[low:high]
        if nearest:
            for n in range(start, stop):
                result[n] = in_plane(array[along_k.nearest[n]])
            return
        rows = AxisSampler(
            high - low, along_k.nearest[start:stop], along_k.inside[start:stop], along_k.matrix[start:stop, low:high]
        )
        if k_first:
            for n, plane in enumerate(sample_axis(slices, rows, 0), start):
                result[n] = in_plane(plane)
        else:
            small = np.empty((high - low, along_j.samples, along_i.samples), dtype=dtype)
            for n, plane in enumerate(slices):
                small[n] = in_plane(plane)
            result[start:stop] = sample_axis(small, rows, 0)

    plane = max(array[0].size / growth_k if growth_k < 1 else array[0].size, result[0].size, 1)
    slab = int(max(1, SLAB_VOXELS // plane))
    for_slabs(along_k.samples, part, slab=slab, progress=progress, cancel=cancel, message=message)
    return result


def _by_sitk(
    array: Array, source: Geometry, target: Geometry, interpolator: Interpolator, fill: float,
    progress: ProgressFn, cancel: CancelToken, message: str,
) -> Array:  # fmt: skip
    import SimpleITK as sitk

    codes = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear, "bspline": sitk.sitkBSpline}
    if interpolator == "bspline" and 2 in source.shape:
        return _spline_over_pairs(array, source, target, fill, progress, cancel, message)
    dtype = array.dtype.newbyteorder("=")
    if interpolator != "nearest":
        dtype = np.dtype(np.float64 if array.dtype == np.float64 else np.float32)
    image = to_sitk(array, source)
    if interpolator != "nearest":
        image_type = sitk.sitkFloat64 if dtype == np.float64 else sitk.sitkFloat32
    else:
        image_type = image.GetPixelID()
    method = sitk.ResampleImageFilter()
    method.SetInterpolator(codes[interpolator])
    method.SetOutputPixelType(image_type)
    method.SetDefaultPixelValue(float(fill))
    result = np.empty(target.shape, dtype=dtype)
    slab = max(1, SLAB_VOXELS * 4 // max(1, target.shape[1] * target.shape[2]))
    # A cubic spline's coefficients are made anew in each call.
    slab = target.shape[0] if interpolator == "bspline" else slab
    for start in range(0, target.shape[0], slab):
        stop = min(start + slab, target.shape[0])
        part = target.crop((start, 0, 0), (stop - start, target.shape[1], target.shape[2]))
        lps = part.ijk_to_lps
        method.SetSize(list(part.size))
        method.SetOutputOrigin([float(v) for v in lps[:3, 3]])
        method.SetOutputSpacing(list(part.spacing))
        method.SetOutputDirection([float(v) for v in (lps[:3, :3] / np.asarray(part.spacing)).reshape(-1)])
        some = sub_progress(progress, start / target.shape[0], stop / target.shape[0])
        sampled = execute(method, image, progress=some, cancel=cancel, message=message)
        result[start:stop] = sitk.GetArrayViewFromImage(sampled)
    return result


def _spline_over_pairs(
    array: Array, source: Geometry, target: Geometry, fill: float,
    progress: ProgressFn, cancel: CancelToken, message: str,
) -> Array:  # fmt: skip
    """Sample an image of which an axis has two voxels: ITK reads beyond them, but not of the mirrored image."""
    margin = [2 if size == 2 else 0 for size in source.shape]
    k, j, i = (size + 2 * m for size, m in zip(source.shape, margin, strict=True))
    wide = source.crop((-margin[0], -margin[1], -margin[2]), (k, j, i))
    mirrored = np.pad(array, [(m, m) for m in margin], mode="reflect")
    result = _by_sitk(mirrored, wide, target, "bspline", fill, sub_progress(progress, 0.0, 0.9), cancel, message)
    whole = np.ones(source.shape, dtype=np.uint8)
    inside = _by_sitk(whole, source, target, "nearest", 0.0, sub_progress(progress, 0.9, 1.0), cancel, message)
    result[inside == 0] = fill
    return result
