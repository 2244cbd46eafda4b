"""Euclidean distances in mm inside a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn, no_progress

from .boxes import bounding_box, widened
from .sitk_run import execute


def distance_mm(
    mask: npt.NDArray[Any],
    spacing_kji: tuple[float, float, float],
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> npt.NDArray[np.float32]:
    """Return each voxel's distance to the nearest voxel outside the mask, between the voxels' centres.

    The exact distance transform of Maurer, Qi and Raghavan (IEEE Trans. PAMI 25, 265 (2003)), computed by SimpleITK on
    every core, on the mask's bounding box and one voxel around it, which holds the nearest outside voxel of every
    voxel.  Equal to ``scipy.ndimage.distance_transform_edt(mask, sampling=spacing_kji)`` to single precision.  For
    distances outside a mask give ``~mask``.

    Parameters
    ----------
    mask : array, shape (K, J, I)
        Everything that is not zero is inside; never changed.
    spacing_kji : tuple of float
        Voxel size in mm along K, J, I.
    progress, cancel
        See :mod:`medai.core.progress`.

    Returns
    -------
    float32 array, shape (K, J, I)
        mm; 0 outside the mask, infinity everywhere if no voxel of the image is outside.  What lies beyond the image
        counts as unknown, not as outside.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    import SimpleITK as sitk

    token = cancel or CancelToken()
    token.check()
    inside = mask if mask.dtype == np.bool_ else mask != 0
    result = np.zeros(inside.shape, dtype=np.float32)
    box = bounding_box(inside)
    if box is None:
        return result
    box = widened(box, 1, inside.shape)
    outside = ~inside[box]
    if not outside.any():
        # The box reaches the image's every border, so it is the image.
        result[...] = np.inf
        return result
    image = sitk.GetImageFromArray(outside.view(np.uint8))
    del outside
    image.SetSpacing([float(s) for s in spacing_kji[::-1]])
    method = sitk.SignedMaurerDistanceMapImageFilter()
    method.SetSquaredDistance(False)
    method.SetUseImageSpacing(True)
    # Measured from the voxels outside the mask, the mask is where the signed distance is positive.
    method.SetInsideIsPositive(False)
    distances = execute(method, image, progress=progress, cancel=token, message="Distances")
    np.maximum(sitk.GetArrayViewFromImage(distances), 0, out=result[box])
    return result
