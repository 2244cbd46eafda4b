"""An immutable image: an array and the grid it lives on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError, UnsupportedInput
from .geometry import Geometry
from .qc import QCFlag


@dataclass(frozen=True, eq=False)
class Volume:
    """An image.

    Parameters
    ----------
    array : numpy array, shape (K, J, I) or (K, J, I, components)
        Voxel values.  The Volume keeps a read-only view: copy before you hand over an array you go on changing.
        A 2D image has K = 1.  A fourth axis holds colour or vector components.
    geometry : Geometry
        The grid; its shape equals the array's first three sizes.
    modality : str
        DICOM modality (``CT``, ``MR``, ``PT``, ...), empty if unknown.
    unit : str
        UCUM unit of the values (``[hnsf'U]`` for HU), empty if arbitrary.
    name : str
        Name for people; never a patient's name.
    flags : tuple of QCFlag
        What was noticed about the image so far.
    meta : mapping of str to str
        Acquisition facts for the report (kernel, slice thickness, ...); no patient data.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    modality: str = ""
    unit: str = ""
    name: str = ""
    flags: tuple[QCFlag, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim not in (3, 4):
            raise InputError(f"A volume needs 3 axes (K, J, I), or 4 with components last, given shape {array.shape}.")
        if array.ndim == 4 and array.shape[3] == 0:
            raise InputError("A volume needs at least one component per voxel, given none.")
        if array.shape[:3] != self.geometry.shape:
            raise InputError(f"The array's shape {array.shape} does not fit the grid's {self.geometry.shape}.")
        if array.dtype.kind not in "iufb" or array.dtype.itemsize > 8:
            raise UnsupportedInput(f"Voxels of type {array.dtype} cannot be used; integers or real numbers are needed.")
        array = array.view()
        array.setflags(write=False)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "flags", tuple(self.flags))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    @property
    def components(self) -> int:
        """Values per voxel: 1 for a scalar image, 3 for RGB."""
        return 1 if self.array.ndim == 3 else int(self.array.shape[3])

    @property
    def is_2d(self) -> bool:
        """True if there is one slice."""
        return self.geometry.shape[0] == 1

    def require_scalar(self, what: str) -> None:
        """Raise :class:`UnsupportedInput` if a voxel holds more than one value.

        Parameters
        ----------
        what : str
            The operation that needs a scalar image, for the message.
        """
        if self.array.ndim != 3:
            raise UnsupportedInput(
                f"{what} needs a scalar image, given {self.components} components per voxel.",
                hint="Convert the image to grey values, or choose one component or frame.",
            )

    def replace(self, **changes: Any) -> Volume:
        """Return a copy with other fields, as :func:`dataclasses.replace` does."""
        return dataclasses.replace(self, **changes)

    def with_flags(self, *flags: QCFlag) -> Volume:
        """Return a copy with more quality flags; a flag that is already there is not repeated."""
        return self.replace(flags=self.flags + tuple(f for f in flags if f not in self.flags))

    def crop(self, start_kji: tuple[int, int, int], shape: tuple[int, int, int]) -> Volume:
        """Return the box that starts at ``start_kji`` and lies inside the image, as a view.

        Raises
        ------
        InputError
            If the box reaches outside the image.
        """
        stop = [a + n for a, n in zip(start_kji, shape, strict=True)]
        if min(start_kji) < 0 or any(b > n for b, n in zip(stop, self.geometry.shape, strict=True)):
            raise InputError(
                f"The box from {start_kji} of {shape} voxels reaches outside {self.geometry.shape} (K, J, I)."
            )
        box = tuple(slice(a, b) for a, b in zip(start_kji, stop, strict=True))
        return self.replace(array=self.array[box], geometry=self.geometry.crop(start_kji, shape))

    def digest(self) -> str:
        """SHA-256 of the voxels (type, shape, values) and the affine; independent of memory layout and file format."""
        return digest_array(self.array, self.geometry)


def digest_array(array: npt.NDArray[Any], geometry: Geometry, dtype: np.dtype[Any] | None = None) -> str:
    """SHA-256 of an array's type, shape and values and of its grid's affine; independent of memory layout.

    Parameters
    ----------
    array : numpy array, shape (K, J, I) or (K, J, I, components)
    geometry : Geometry
    dtype : numpy dtype, optional
        Type as which the values count, so that the same labels in fewer bytes have the same digest; the array's own if
        not given.
    """
    kind = (dtype or array.dtype).newbyteorder("<")
    digest = hashlib.sha256(f"{kind.str}|{array.shape}|".encode("ascii"))
    digest.update(geometry.ijk_to_ras.astype("<f8").tobytes())
    for plane in array:  # slice by slice: a copy of the whole costs five times as much as the digest
        digest.update(np.ascontiguousarray(plane, dtype=kind).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
