"""Volume and LabelMap to SimpleITK images and back; arrays KJI, SimpleITK's geometry in LPS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .geometry import Geometry

if TYPE_CHECKING:
    import SimpleITK


def to_sitk(array: npt.NDArray[Any], geometry: Geometry) -> SimpleITK.Image:
    """Return a SimpleITK image of an array (K, J, I[, components]) on ``geometry``.

    Booleans become uint8; float16 becomes float32.
    """
    import SimpleITK as sitk

    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    image = sitk.GetImageFromArray(native, isVector=array.ndim == 4)
    lps = geometry.ijk_to_lps
    image.SetSpacing(geometry.spacing)
    image.SetOrigin([float(v) for v in lps[:3, 3]])
    image.SetDirection([float(v) for v in (lps[:3, :3] / np.asarray(geometry.spacing)).reshape(-1)])
    return image


def geometry_of(image: SimpleITK.Image) -> Geometry:
    """Return the grid of a three-dimensional SimpleITK image."""
    size = image.GetSize()
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(image.GetDirection()).reshape(3, 3) * np.asarray(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return Geometry.from_lps((size[2], size[1], size[0]), matrix)


def to_array(image: SimpleITK.Image) -> npt.NDArray[Any]:
    """Return a copy of the voxels, shape (K, J, I), or (K, J, I, components) if there is more than one component."""
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayFromImage(image))
