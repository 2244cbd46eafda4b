"""NIfTI, NRRD and MetaImage writers: exact affine, types kept, nothing about a patient in the header."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.atomic import atomic_path
from medai.core.errors import UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken

from . import meta, nifti
from .formats import writable_suffix

LEVEL = 4
"""Compression level of zlib: near the size of 6 at about twice its speed."""
_STEP = 1 << 23


def write_image(
    array: npt.NDArray[Any],
    geometry: Geometry,
    path: Path,
    pairs: dict[str, str] | None = None,
    *,
    cancel: CancelToken | None = None,
) -> None:
    """Write an array on its grid, atomically; the format follows the suffix.

    Parameters
    ----------
    array : numpy array, shape (K, J, I) or (K, J, I, components)
        Booleans become uint8 and float16 becomes float32; every other type is kept.
    geometry : Geometry
        The grid.
    path : Path
        ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``.
    pairs : dict, optional
        Key-value pairs for an NRRD header.
    cancel : CancelToken, optional
        Polled between parts of 8 MiB.

    Raises
    ------
    Cancelled
        If somebody asked to stop; an old file is untouched then.
    InputError
        For another suffix.
    OutputError
        If the file cannot be written; an old file is untouched then.
    """
    suffix = writable_suffix(path)
    token = cancel or CancelToken()
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        if suffix in (".nii", ".nii.gz"):
            header, body = _nifti_header(array, geometry), array
            if array.ndim == 4 and not _is_colour(array):
                body = np.ascontiguousarray(np.moveaxis(array, 3, 0))
            if suffix == ".nii":
                stream.write(header)
                stream.writelines(_parts(token, _bytes(body)))
            else:
                stream.writelines(_deflated(token, 31, header, _bytes(body)))
        elif suffix == ".mha":
            packed = list(_deflated(token, 15, _bytes(array)))
            stream.write(_meta_header(array, geometry, sum(map(len, packed))))
            stream.writelines(packed)
        else:
            stream.write(_nrrd_header(array, geometry, pairs or {}))
            stream.writelines(_deflated(token, 31, _bytes(array)))


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _parts(cancel: CancelToken, *parts: bytes | memoryview) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), _STEP):
            cancel.check()
            yield view[start : start + _STEP]


def _deflated(cancel: CancelToken, wbits: int, *parts: bytes | memoryview) -> Iterator[bytes]:
    """Yield one gzip (31) or zlib (15) stream; zlib writes no time and no name, so equal images give equal files."""
    coder = zlib.compressobj(LEVEL, zlib.DEFLATED, wbits)
    for some in _parts(cancel, *parts):
        yield coder.compress(some)
    yield coder.flush()


def _is_colour(array: npt.NDArray[Any]) -> bool:
    return array.ndim == 4 and array.dtype == np.uint8 and array.shape[3] in (3, 4)


def _type_code(table: dict[Any, str], array: npt.NDArray[Any], kind: str) -> Any:
    wanted = array.dtype.str[1:]
    for code, name in table.items():
        if name == wanted:
            return code
    raise UnsupportedInput(f"{kind} cannot hold voxels of type {array.dtype}.", hint="Convert them first.")


def _nifti_header(array: npt.NDArray[Any], geometry: Geometry) -> bytes:
    """Return a NIfTI-1 header; NIfTI-2 if an axis is too long or single precision would move a corner by 1e-4 mm."""
    colour = _is_colour(array)
    code = {3: 128, 4: 2304}[array.shape[3]] if colour else _type_code(nifti.TYPES, array, "NIfTI")
    bits = array.dtype.itemsize * 8 * (array.shape[3] if colour else 1)
    i, j, k = geometry.size
    dim = [3, i, j, k, 1, 1, 1, 1]
    intent = 0
    if array.ndim == 4 and not colour:
        dim, intent = [5, i, j, k, 1, array.shape[3], 1, 1], 1007
    matrix = geometry.ijk_to_ras
    b, c, d, qfac = quaternion(geometry)
    q_code = 0 if geometry.is_sheared else 1
    pixdim = [qfac, *geometry.spacing, 1.0, 1.0, 1.0, 1.0]
    offset = matrix[:3, 3]
    single = Geometry(geometry.shape, np.vstack([matrix[:3].astype(np.float32), [0, 0, 0, 1]]))
    if max(dim) > 32767 or single.difference_mm(geometry) > 1e-4:
        head = bytearray(544)
        struct.pack_into("<i8s2h8q8d", head, 0, 540, b"n+2\0\r\n\x1a\n", code, bits, *dim, *pixdim)
        struct.pack_into("<q2d", head, 168, 544, 1.0, 0.0)
        struct.pack_into("<2i6d12d", head, 344, q_code, 1, b, c, d, *offset, *matrix[:3].reshape(-1))
        struct.pack_into("<3i", head, 496, 0, 2, intent)
        return bytes(head)
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, *dim)
    struct.pack_into("<3h", head, 68, intent, code, bits)
    struct.pack_into("<8f3f", head, 76, *pixdim, 352.0, 1.0, 0.0)
    head[123] = 2
    struct.pack_into("<2h6f12f", head, 252, q_code, 1, b, c, d, *offset, *matrix[:3].reshape(-1))
    head[344:348] = b"n+1\0"
    return bytes(head)


def quaternion(geometry: Geometry) -> tuple[float, float, float, float]:
    """Return quatern_b, c, d and qfac of the rotation nearest to a grid's axes.

    The unit quaternion is the eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric 4 x 4 matrix
    (Journal of Guidance, Control, and Dynamics 23(6), 2000), which is stable for every angle.
    """
    r = geometry.direction.copy()
    qfac = 1.0 if np.linalg.det(r) > 0 else -1.0
    r[:, 2] *= qfac
    table = np.array([
        [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
        [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
        [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
        [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
    ])  # fmt: skip
    b, c, d, a = np.linalg.eigh(table)[1][:, -1]
    sign = math.copysign(1.0, a)
    return float(b * sign), float(c * sign), float(d * sign), qfac


def _numbers(values: Any) -> str:
    return " ".join(repr(float(v)) for v in values)


def _meta_header(array: npt.NDArray[Any], geometry: Geometry, packed: int) -> bytes:
    if geometry.is_sheared:
        raise UnsupportedInput(
            "MetaImage readers make sheared axes rectangular.", hint="Write NRRD or NIfTI, or resample."
        )
    lps = geometry.ijk_to_lps
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    lines += ["CompressedData = True", f"CompressedDataSize = {packed}"]
    lines += [f"TransformMatrix = {_numbers((lps[:3, :3] / geometry.spacing).T.reshape(-1))}"]
    lines += [
        f"Offset = {_numbers(lps[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_numbers(geometry.spacing)}",
    ]
    lines += [f"DimSize = {' '.join(map(str, geometry.size))}"]
    if array.ndim == 4:
        lines += [f"ElementNumberOfChannels = {array.shape[3]}"]
    lines += [f"ElementType = {_type_code(meta.TYPES, array, 'MetaImage')}", "ElementDataFile = LOCAL"]
    return ("\n".join(lines) + "\n").encode("ascii")


_NRRD_WORDS = {
    "i1": "signed char", "u1": "unsigned char", "i2": "short", "u2": "unsigned short", "i4": "int",
    "u4": "unsigned int", "i8": "long long int", "u8": "unsigned long long int", "f4": "float", "f8": "double",
}  # fmt: skip


def _nrrd_header(array: npt.NDArray[Any], geometry: Geometry, pairs: dict[str, str]) -> bytes:
    lps = geometry.ijk_to_lps
    vectors = ["(" + ",".join(repr(float(v)) for v in lps[:3, axis]) + ")" for axis in range(3)]
    sizes, kinds = list(geometry.size), ["domain"] * 3
    if array.ndim == 4:
        sizes, kinds, vectors = [array.shape[3], *sizes], ["vector", *kinds], ["none", *vectors]
    word = _NRRD_WORDS.get(array.dtype.str[1:], "")
    if not word:
        raise UnsupportedInput(f"NRRD cannot hold voxels of type {array.dtype}.", hint="Convert them first.")
    lines = ["NRRD0005", f"type: {word}", f"dimension: {len(sizes)}", "space: left-posterior-superior"]
    lines += [
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(vectors)}",
        f"kinds: {' '.join(kinds)}",
    ]
    lines += ["endian: little", "encoding: gzip"]
    lines += ["space origin: (" + ",".join(repr(float(v)) for v in lps[:3, 3]) + ")"]
    lines += [f"{key}:={_escaped(value)}" for key, value in pairs.items()]
    return ("\n".join(lines) + "\n\n").encode("utf-8")


def _escaped(value: str) -> str:
    """Return a value on one line, as the NRRD format asks: backslash and line feed escaped."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", " ")
