"""From a parsed header to a Volume: the one path that NIfTI, NRRD and MetaImage share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import AmbiguousInput, GeometryError, InputError
from medai.core.geometry import FloatArray, Geometry
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from .budget import check_sizes
from .scaling import apply_scaling, check_scaling
from .source import Payload


@dataclass(frozen=True)
class RawImage:
    """What a header says, in plain values.

    Parameters
    ----------
    name : str
        File name for messages.
    dtype : numpy.dtype
        Stored type with its byte order.
    axes : str
        One letter an axis, slowest first, as stored: ``k``, ``j``, ``i`` in space, ``t`` frames, ``c`` components.
    sizes : tuple of int
        Size of each axis in the order of ``axes``.
    ijk_to_ras : array, shape (4, 4)
        Affine, mm, RAS.
    payload : Payload
        Where the voxels are; its ``nbytes`` is filled in by :meth:`checked`.
    slope, intercept : float
        Real value = slope x stored + intercept.
    flags : tuple of QCFlag
        What the header's reader noticed.
    meta : mapping of str to str
        Facts for :attr:`Volume.meta`.
    extra : mapping of str to str
        Key-value pairs of the header that only a label reader looks at.
    """

    name: str
    dtype: np.dtype[Any]
    axes: str
    sizes: tuple[int, ...]
    ijk_to_ras: FloatArray
    payload: Payload
    slope: float = 1.0
    intercept: float = 0.0
    flags: tuple[QCFlag, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    def checked(self) -> RawImage:
        """Return the header with its payload sized, after every check that needs neither voxels nor the file's size.

        Raises
        ------
        InputError, GeometryError
            If the header is impossible or asks for too much memory.
        """
        check_scaling(self.slope, self.intercept, self.name)
        nbytes = check_sizes(self.sizes, self.dtype.itemsize, self.name)
        if (self.slope, self.intercept) != (1.0, 0.0):
            check_sizes(self.sizes, self.dtype.itemsize + 8, self.name)  # stored and real values exist together
        payload = replace(self.payload, nbytes=nbytes)
        self.geometry()
        return replace(self, payload=payload)

    def size(self, axis: str) -> int:
        """Size along an axis letter; 1 if there is none."""
        return self.sizes[self.axes.index(axis)] if axis in self.axes else 1

    def geometry(self) -> Geometry:
        """Return the grid; raises :class:`GeometryError` if it is impossible."""
        try:
            return Geometry((self.size("k"), self.size("j"), self.size("i")), self.ijk_to_ras)
        except GeometryError as error:
            raise GeometryError(f"{self.name!r}: {error.message}", hint=error.hint, code=error.code) from None

    def with_layers(self) -> RawImage:
        """Return the header with its frames seen as components: the layers of a segmentation."""
        return replace(self, axes=self.axes.replace("t", "c")) if "c" not in self.axes else self

    def read(self, frame: int | None = None) -> Volume:
        """Return the voxels as a Volume.

        Parameters
        ----------
        frame : int, optional
            Which frame of a 4D image, from 0.

        Raises
        ------
        AmbiguousInput
            If there are several frames and none was chosen.
        InputError
            If the frame does not exist, or the file is damaged.
        """
        image = self.checked()
        frames = image.size("t")
        if frames > 1 and frame is None:
            raise AmbiguousInput(
                f"{self.name!r} holds {frames} frames (4D), one is needed.",
                hint=f"Choose a frame from 0 to {frames - 1}.",
            )
        chosen = 0 if frame is None else int(frame)
        if not 0 <= chosen < frames:
            raise InputError(f"{self.name!r} has no frame {chosen}; it holds {frames}, counted from 0.")
        array = image._voxels(chosen)
        meta = dict(self.meta)
        if frames > 1:
            meta["frame"] = f"{chosen} of {frames}"
        return Volume(array, image.geometry(), flags=self.flags, meta=meta)

    def _voxels(self, frame: int) -> npt.NDArray[Any]:
        axes, sizes = list(self.axes), list(self.sizes)
        item = self.dtype.itemsize
        if "t" in axes and all(n == 1 for n in sizes[: axes.index("t")]):
            # frames are contiguous: keep only the wanted one (a compressed stream is still verified to its end)
            one = math.prod(sizes[axes.index("t") + 1 :]) * item
            raw = self.payload.read(frame * one, one)
            sizes[axes.index("t")], frame = 1, 0
        else:
            raw = self.payload.read()
        array = raw.view(self.dtype).reshape(sizes)
        if not self.dtype.isnative:
            array = array.byteswap(inplace=True).view(self.dtype.newbyteorder("="))
        if "t" in axes:
            array = np.take(array, frame, axis=axes.index("t"))
            axes.remove("t")
        for letter in "kji":
            if letter not in axes:
                array = array[np.newaxis]
                axes.insert(0, letter)
        order = [axes.index(letter) for letter in "kji"] + ([axes.index("c")] if "c" in axes else [])
        array = array.transpose(order)
        if array.ndim == 4 and array.shape[3] == 1:
            array = array[..., 0]
        return apply_scaling(np.ascontiguousarray(array), self.slope, self.intercept)
