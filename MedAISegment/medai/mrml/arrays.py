"""numpy arrays and 4 x 4 matrices to VTK and back; every function copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import UnsupportedInput
from ..core.geometry import FloatArray
from ._slicer import slicer, vtk

_EXACT_IN_DOUBLE = 2**53
_KEPT = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64)


def storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array in a voxel type that MRML can hold, show and save, without changing a value.

    Kept: uint8, int16, uint16, int32, uint32, float32, float64.  Wider or rarer types go to the smallest fitting one:
    bool to uint8, int8 to int16 (MRML's image writer has no int8), float16 to float32, 64-bit integers to int32, uint32
    or float64.

    Parameters
    ----------
    array : numpy array
        Any real or integer type, any byte order.

    Raises
    ------
    UnsupportedInput
        If no such type holds every value exactly.
    """
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype.type in _KEPT:
        return native
    if native.dtype.kind == "b":
        return native.astype(np.uint8)
    if native.dtype == np.float16:
        return native.astype(np.float32)
    if native.dtype.kind in "iu":
        low, high = int(native.min()), int(native.max())
        for kind in (np.int16,) if native.dtype.itemsize == 1 else (np.int32, np.uint32):
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return native.astype(kind)
        if max(-low, high) <= _EXACT_IN_DOUBLE:
            return native.astype(np.float64)
    raise UnsupportedInput(
        f"Voxels of type {array.dtype} hold values that a Slicer volume cannot store exactly.",
        hint="Convert the image to 32-bit integers or to float64 on purpose.",
    )


def to_image(array: npt.NDArray[Any], image: Any = None) -> Any:
    """Fill a ``vtkImageData`` with a copy of an array.

    Parameters
    ----------
    array : numpy array, shape (K, J, I) or (K, J, I, components)
    image : vtkImageData, optional
        The object to fill, for example a ``vtkOrientedImageData``; a new ``vtkImageData`` if not given.
    """
    from vtk.util import numpy_support

    result = vtk.vtkImageData() if image is None else image
    k, j, i = array.shape[:3]
    flat = np.ascontiguousarray(array).reshape((k * j * i, *array.shape[3:]))
    scalars = numpy_support.numpy_to_vtk(flat, deep=True)
    scalars.SetName("ImageScalars")
    result.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
    result.GetPointData().SetScalars(scalars)
    return result


def from_image(image: Any) -> npt.NDArray[Any]:
    """Return a view of an image's scalars, shape (K, J, I) or (K, J, I, components); copy it before you keep it."""
    from vtk.util import numpy_support

    i, j, k = image.GetDimensions()
    scalars = image.GetPointData().GetScalars()
    components = scalars.GetNumberOfComponents()
    # Not numpy_support.vtk_to_numpy: it sets an array's shape in place, which numpy 2.5 deprecates.
    flat = np.frombuffer(scalars, dtype=numpy_support.get_numpy_array_type(scalars.GetDataType()))
    return flat.reshape((k, j, i) if components == 1 else (k, j, i, components))


def to_matrix(matrix: npt.ArrayLike) -> Any:
    """Return a ``vtkMatrix4x4`` of a (4, 4) array."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy([float(v) for v in np.asarray(matrix, dtype=np.float64).reshape(-1)])
    return result


def from_matrix(matrix: Any) -> FloatArray:
    """Return a (4, 4) float64 array of a ``vtkMatrix4x4``."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)], dtype=np.float64)


def oriented_image(array: npt.NDArray[Any], ijk_to_ras: FloatArray) -> Any:
    """Return a ``vtkOrientedImageData`` (RAS mm) with a copy of an array of shape (K, J, I)."""
    image = to_image(array, slicer.vtkOrientedImageData())
    image.SetGeometryFromImageToWorldMatrix(to_matrix(ijk_to_ras))
    return image
