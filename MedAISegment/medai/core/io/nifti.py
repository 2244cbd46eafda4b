"""NIfTI-1 and NIfTI-2 headers, read by the letter of the standard (nifti1.h, nifti2.h of nifti.nimh.nih.gov).

Arrays on disk run i fastest, so the stored order is already (k, j, i); world coordinates are RAS.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from medai.core.errors import InputError, TruncatedFile, UnsupportedInput
from medai.core.geometry import SHEAR_TOLERANCE, FloatArray
from medai.core.qc import QCFlag

from .gate import orientation_unknown
from .raw import RawImage
from .source import Payload, peek

TYPES: dict[int, str] = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
"""NIfTI datatype codes of scalars to numpy types."""
COLOURS = {128: 3, 2304: 4}
"""RGB24 and RGBA32: components of one byte each, stored voxel by voxel."""
NAMES = {1: "binary", 32: "complex64", 1536: "float128", 1792: "complex128", 2048: "complex256"}
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_VECTOR_INTENTS = {1003, 1004, 1005, 1006, 1007, 1011, 2003, 2004}
DISAGREE_MM = 0.1
"""Two affines of one header that claim the same space may differ by this at any corner."""


def parse_nifti(path: Path) -> RawImage:
    """Return what a ``.nii`` or ``.nii.gz`` header says.

    Raises
    ------
    InputError
        If it is no NIfTI file or the header contradicts itself.
    UnsupportedInput
        For complex and 128-bit voxels and for header/image pairs.
    """
    head = peek(path, 544)
    name = path.name
    if len(head) < 4:
        raise InputError(f"{name!r} is not a NIfTI file: it has only {len(head)} bytes.")
    sizes = {(struct.unpack(e + "i", head[:4])[0]): e for e in "<>"}
    if 348 in sizes:
        fields = _fields1(head, sizes[348], name)
    elif 540 in sizes:
        fields = _fields2(head, sizes[540], name)
    else:
        raise InputError(
            f"{name!r} is not a NIfTI file: its first number is not 348 or 540.", hint="Check the file's format."
        )
    return _interpret(path, fields)


def _fields1(head: bytes, end: str, name: str) -> dict[str, Any]:
    if len(head) < 348:
        raise TruncatedFile(f"{name!r} ends inside its NIfTI header.", hint="Copy or download the file again.")
    magic = head[344:348]
    if magic == b"ni1\0":
        raise UnsupportedInput(f"{name!r} is half of a header/image pair.", hint="Convert it to one .nii file.")
    if magic != b"n+1\0":
        raise InputError(f"{name!r} is not a NIfTI file (Analyze 7.5 has no orientation).", hint="Convert it to NIfTI.")
    u = struct.Struct
    return {
        "end": end,
        "least_offset": 348,
        "dim": u(end + "8h").unpack_from(head, 40),
        "intent": u(end + "h").unpack_from(head, 68)[0],
        "datatype": u(end + "h").unpack_from(head, 70)[0],
        "bitpix": u(end + "h").unpack_from(head, 72)[0],
        "pixdim": u(end + "8f").unpack_from(head, 76),
        "offset": u(end + "f").unpack_from(head, 108)[0],
        "slope": u(end + "f").unpack_from(head, 112)[0],
        "inter": u(end + "f").unpack_from(head, 116)[0],
        "units": head[123],
        "qform_code": u(end + "h").unpack_from(head, 252)[0],
        "sform_code": u(end + "h").unpack_from(head, 254)[0],
        "quatern": u(end + "6f").unpack_from(head, 256),
        "srow": u(end + "12f").unpack_from(head, 280),
    }


def _fields2(head: bytes, end: str, name: str) -> dict[str, Any]:
    if len(head) < 540:
        raise TruncatedFile(f"{name!r} ends inside its NIfTI header.", hint="Copy or download the file again.")
    if head[4:8] != b"n+2\0":
        raise UnsupportedInput(f"{name!r} is not a single-file NIfTI-2 image.", hint="Convert it to one .nii file.")
    u = struct.Struct
    return {
        "end": end,
        "least_offset": 540,
        "datatype": u(end + "h").unpack_from(head, 12)[0],
        "bitpix": u(end + "h").unpack_from(head, 14)[0],
        "dim": u(end + "8q").unpack_from(head, 16),
        "pixdim": u(end + "8d").unpack_from(head, 104),
        "offset": u(end + "q").unpack_from(head, 168)[0],
        "slope": u(end + "d").unpack_from(head, 176)[0],
        "inter": u(end + "d").unpack_from(head, 184)[0],
        "qform_code": u(end + "i").unpack_from(head, 344)[0],
        "sform_code": u(end + "i").unpack_from(head, 348)[0],
        "quatern": u(end + "6d").unpack_from(head, 352),
        "srow": u(end + "12d").unpack_from(head, 400),
        "units": u(end + "i").unpack_from(head, 500)[0] & 0xFF,
        "intent": u(end + "i").unpack_from(head, 504)[0],
    }


def _interpret(path: Path, f: dict[str, Any]) -> RawImage:
    name = path.name
    dtype, components = _voxel_type(f, name)
    axes, sizes = _axes(f, components, name)
    offset = f["offset"]
    if not math.isfinite(offset) or offset != int(offset) or not f["least_offset"] <= offset < 2**31:
        raise InputError(f"{name!r} says its voxels begin at byte {offset:g}.", hint="The header is damaged.")
    matrix, flags = _affine(f, dict(zip(axes, sizes, strict=True)), name)
    slope, inter = f["slope"], f["inter"]
    if slope == 0:  # the standard: "not scaled"
        slope, inter = 1.0, 0.0
    if components:
        slope, inter = 1.0, 0.0  # the standard forbids scaling RGB
    with path.open("rb") as stream:
        encoding = "gzip" if stream.read(2) == b"\x1f\x8b" else "raw"
    return RawImage(
        name=name,
        dtype=dtype,
        axes=axes,
        sizes=sizes,
        ijk_to_ras=matrix,
        payload=Payload(path, 0, encoding, int(offset), 0),
        slope=float(slope),
        intercept=float(inter),
        flags=flags,
        meta={"format": "NIfTI"},
    )


def _voxel_type(f: dict[str, Any], name: str) -> tuple[np.dtype[Any], int]:
    code = f["datatype"]
    if code in COLOURS:
        dtype, components = np.dtype("u1"), COLOURS[code]
    elif code in TYPES:
        dtype, components = np.dtype(f["end"] + TYPES[code]), 0
    else:
        raise UnsupportedInput(
            f"The voxels of {name!r} are {NAMES.get(code, f'of the unknown type {code}')}; "
            "integers and real numbers up to 64 bits are read.",
            hint="Convert the image, for example to its magnitude.",
        )
    bits = dtype.itemsize * 8 * max(components, 1)
    if f["bitpix"] != bits:
        raise InputError(
            f"The header of {name!r} contradicts itself: type {code} takes {bits} bits, it says {f['bitpix']}.",
            hint="The header is damaged.",
        )
    return dtype, components


def _axes(f: dict[str, Any], components: int, name: str) -> tuple[str, tuple[int, ...]]:
    count = f["dim"][0]
    if not 1 <= count <= 7:
        raise InputError(
            f"{name!r} says it has {count} dimensions; 1 to 7 are possible.", hint="The header is damaged."
        )
    dims = [int(n) for n in f["dim"][1 : count + 1]] + [1] * (7 - count)
    if any(n < 1 for n in dims):
        raise InputError(f"The header of {name!r} states sizes {dims[:count]}; each must be at least 1.")
    i, j, k, t, u, v, w = dims
    if v * w > 1:
        raise UnsupportedInput(f"{name!r} has {count} dimensions; at most 5 are read.", hint="Extract one 3D image.")
    if u > 1 and f["intent"] not in _VECTOR_INTENTS and t == 1:
        t, u = u, 1  # a fifth axis without a vector intent is a list of images
    if components and u > 1:
        raise UnsupportedInput(f"{name!r} holds several colour images per frame.", hint="Extract one image.")
    letters, sizes = "kji", [k, j, i]
    if t > 1:
        letters, sizes = "t" + letters, [t, *sizes]
    if u > 1:
        letters, sizes = "c" + letters, [u, *sizes]
    if components:
        letters, sizes = letters + "c", [*sizes, components]
    return letters, tuple(sizes)


def _affine(f: dict[str, Any], size: dict[str, int], name: str) -> tuple[FloatArray, tuple[QCFlag, ...]]:
    """Choose the affine: sform (method 3) if its code is positive, else qform (method 2), else spacing (method 1)."""
    scale = _UNIT_MM.get(f["units"] & 7)
    if scale is None:
        raise InputError(f"{name!r} measures space in the unknown unit {f['units'] & 7}.", hint="Repair the header.")
    used = [f["pixdim"][1 + n] if f["dim"][0] > n else 1.0 for n in range(3)]
    if not all(math.isfinite(s) and s > 0 for s in used):
        raise InputError(
            f"The voxel spacing of {name!r} is {tuple(float(f'{s:.6g}') for s in used)} mm; "
            "each must be positive and finite.",
            hint="Repair the pixdim field of the header.",
            code="SPACING",
        )
    flags: tuple[QCFlag, ...] = ()
    quatern = quaternion_affine(f["quatern"], used, f["pixdim"][0], name) if f["qform_code"] > 0 else None
    if f["sform_code"] > 0:
        matrix = np.vstack([np.asarray(f["srow"], dtype=np.float64).reshape(3, 4), [0, 0, 0, 1]])
        far = 0.0
        if quatern is not None and f["sform_code"] == f["qform_code"] and not _sheared(matrix):
            far = _farthest(matrix, quatern, size) * scale
        if far > DISAGREE_MM:
            flags = (orientation_unknown(f"sform and qform differ by {far:.3g} mm; sform is used"),)
    elif quatern is not None:
        matrix = quatern
    else:
        matrix = np.diag([*used, 1.0])
        flags = (orientation_unknown("the NIfTI header has neither sform nor qform; axes are taken as R, A, S"),)
    matrix = matrix.copy()
    matrix[:3] *= scale
    return matrix, flags


def quaternion_affine(values: Any, spacing: Any, qfac: float, name: str) -> FloatArray:
    """Return the affine of a qform.

    Parameters
    ----------
    values : six numbers
        quatern_b, c, d and qoffset_x, y, z.
    spacing : three numbers
        pixdim[1..3].
    qfac : float
        pixdim[0]; negative mirrors the third axis, 0 counts as 1.
    name : str
        File name for messages.

    Returns
    -------
    array, shape (4, 4)
        nifti1.h, "Quaternion representation of rotation matrix (method 2)".
    """
    b, c, d, *offset = (float(v) for v in values)
    squares = b * b + c * c + d * d
    if not math.isfinite(squares) or squares > 1.01:
        raise InputError(
            f"The qform of {name!r} is not a rotation (b2 + c2 + d2 = {squares:g}).", hint="Repair the header."
        )
    if 1.0 - squares < 1e-7:  # a rotation by 180 degrees: single precision leaves a slightly off norm
        a, norm = 0.0, 1.0 / math.sqrt(squares)
        b, c, d = b * norm, c * norm, d * norm
    else:
        a = math.sqrt(1.0 - squares)
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array([spacing[0], spacing[1], spacing[2] * (-1.0 if qfac < 0 else 1.0)])
    matrix[:3, 3] = offset
    return matrix


def _sheared(matrix: FloatArray) -> bool:
    """Return whether a qform, which holds rotations only, cannot say the same as this sform."""
    columns = matrix[:3, :3]
    gram = columns.T @ columns
    lengths = np.sqrt(np.diag(gram))
    return bool((np.abs(gram - np.diag(np.diag(gram))) > SHEAR_TOLERANCE * np.outer(lengths, lengths)).any())


def _farthest(one: FloatArray, other: FloatArray, size: dict[str, int]) -> float:
    i, j, k = size["i"] - 1, size["j"] - 1, size["k"] - 1
    corners = np.array([(a, b, c, 1) for a in (0, i) for b in (0, j) for c in (0, k)], dtype=np.float64)
    gap = corners @ (one - other).T
    return float(np.linalg.norm(gap[:, :3], axis=1).max())
