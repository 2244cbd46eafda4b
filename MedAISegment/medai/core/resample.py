"""Moving values onto another grid, and turning arrays into standard orientations without touching a value."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .geometry import Geometry
from .labelmap import LabelMap
from .progress import CancelToken
from .sitk import to_array, to_sitk
from .volume import Volume

Interpolator = Literal["nearest", "linear", "bspline"]


def resample_array(
    array: npt.NDArray[Any], geometry: Geometry, target: Geometry, interpolator: Interpolator, fill: float = 0.0
) -> npt.NDArray[Any]:
    """Sample an array (K, J, I[, components]) at the voxel centres of ``target``.

    Outside the source box the value is ``fill``; inside the outer half voxel the nearest border value is used.
    SimpleITK's ``ResampleImageFilter`` does the work; ``bspline`` is cubic.

    Parameters
    ----------
    array : array, shape (K, J, I[, components])
        The voxels.
    geometry, target : Geometry
        Their grid, and the grid wanted.
    interpolator : {"nearest", "linear", "bspline"}
        How values between voxel centres are made.
    fill : float
        Value outside the source.
    """
    if interpolator == "bspline" and 2 in geometry.shape:
        return _bspline_over_pairs(array, geometry, target, fill)
    return _sampled(array, geometry, target, interpolator, fill)


def _bspline_over_pairs(array: npt.NDArray[Any], geometry: Geometry, target: Geometry, fill: float) -> npt.NDArray[Any]:
    """Sample an image of which an axis has two voxels.

    ITK mirrors the image at its border voxels, but on an axis of two it reaches beyond the mirror image and reads
    memory that is not the image's.  So the mirror image is made here, and what lies outside is filled afterwards.
    """
    margin = [4 if size == 2 else 0 for size in geometry.shape]
    wide = [(m, m) for m in margin] + [(0, 0)] * (array.ndim - 3)
    start = (-margin[0], -margin[1], -margin[2])
    k, j, i = (size + 2 * m for size, m in zip(geometry.shape, margin, strict=True))
    result = _sampled(np.pad(array, wide, mode="reflect"), geometry.crop(start, (k, j, i)), target, "bspline", fill)
    inside = _sampled(np.ones(geometry.shape, dtype=np.uint8), geometry, target, "nearest", 0.0) > 0
    result[~inside] = fill
    return result


def _sampled(
    array: npt.NDArray[Any], geometry: Geometry, target: Geometry, interpolator: Interpolator, fill: float
) -> npt.NDArray[Any]:
    import SimpleITK as sitk

    codes = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear, "bspline": sitk.sitkBSpline}
    lps = target.ijk_to_lps
    direction = [float(v) for v in (lps[:3, :3] / np.asarray(target.spacing)).reshape(-1)]
    result = sitk.Resample(
        to_sitk(array, geometry), list(target.size), sitk.Transform(3, sitk.sitkIdentity), codes[interpolator],
        [float(v) for v in lps[:3, 3]], list(target.spacing), direction, float(fill),
    )  # fmt: skip
    # SimpleITK drops the fourth axis of a one-component image.
    return to_array(result).reshape(*target.shape, *array.shape[3:])


def resample_volume(
    volume: Volume, target: Geometry, interpolator: Interpolator = "linear", fill: float | None = None
) -> Volume:
    """Return the volume on another grid, as float32 unless ``nearest`` keeps its type.

    Parameters
    ----------
    volume : Volume
        Never changed.
    target : Geometry
        The grid wanted.
    interpolator : {"nearest", "linear", "bspline"}
        How values between voxel centres are made; see :func:`resample_array`.
    fill : float, optional
        Value outside the source; the volume's smallest finite value if not given.
    """
    array = volume.array if interpolator == "nearest" else volume.array.astype(np.float32)
    outside = _finite_minimum(volume.array) if fill is None else fill
    result = resample_array(array, volume.geometry, target, interpolator, outside)
    return volume.replace(array=result.astype(array.dtype, copy=False), geometry=target)


def _finite_minimum(array: npt.NDArray[Any]) -> float:
    finite = array if array.dtype.kind != "f" else array[np.isfinite(array)]
    return float(finite.min()) if finite.size else 0.0


def resample_labels(
    labels: LabelMap, target: Geometry, smooth: bool = False, cancel: CancelToken | None = None
) -> LabelMap:
    """Return the labels on another grid; 0 outside.

    Parameters
    ----------
    labels : LabelMap
        Never changed.
    target : Geometry
        The grid wanted.
    smooth : bool
        False: nearest neighbour, exact where the grids share voxel centres, but in steps on a finer grid.  True: the
        label with the largest linearly interpolated share, without steps and without gaps between labels that touch;
        see :func:`medai.core.smooth_labels.smooth_labels`.
    cancel : CancelToken, optional
        Polled while labels are smoothed.
    """
    if smooth:
        from .smooth_labels import smooth_labels

        return labels.replace(array=smooth_labels(labels.array, labels.geometry, target, cancel), geometry=target)
    return labels.replace(array=resample_array(labels.array, labels.geometry, target, "nearest"), geometry=target)


def reorient_plan(geometry: Geometry, orientation: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return (array axes for ``transpose``, flips after it) that bring a grid to an orientation such as ``RAS``.

    ``orientation`` names the directions in which I, J, K grow.  Oblique grids come as close as axis swaps can.
    """
    letters = "LRPAIS"
    if any(c not in letters for c in orientation.upper()):
        raise ValueError(f"{orientation!r} does not name each of L/R, P/A, I/S once")
    wanted = [(letters.index(c) // 2, 1 if letters.index(c) % 2 else -1) for c in orientation.upper()]
    if sorted(axis for axis, _ in wanted) != [0, 1, 2]:
        raise ValueError(f"{orientation!r} does not name each of L/R, P/A, I/S once")
    source = {axis: (column, sign) for column, (axis, sign) in enumerate(geometry.axis_map)}
    columns = [source[axis][0] for axis, _ in wanted]
    flips = [source[axis][1] != sign for axis, sign in wanted]
    axes = (2 - columns[2], 2 - columns[1], 2 - columns[0])
    return axes, (flips[2], flips[1], flips[0])


def reorient_array(array: npt.NDArray[Any], geometry: Geometry, orientation: str) -> tuple[npt.NDArray[Any], Geometry]:
    """Permute and flip axes; no value is interpolated.

    Parameters
    ----------
    array : array, shape (K, J, I[, components])
        The voxels.
    geometry : Geometry
        Their grid.
    orientation : str
        Directions in which I, J, K grow, for example ``RAS``; see :func:`reorient_plan`.

    Returns
    -------
    array, Geometry
        A view of the voxels and its grid.
    """
    axes, flips = reorient_plan(geometry, orientation)
    result = array.transpose(*axes, *range(3, array.ndim))
    grid = geometry.transpose(axes)
    for axis, flip in enumerate(flips):
        if flip:
            result = np.flip(result, axis)
            grid = grid.flip(axis)
    return result, grid
