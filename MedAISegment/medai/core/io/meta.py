"""MetaImage headers, ``.mha`` and ``.mhd`` (itk.org/Wiki/MetaIO/Documentation).  World coordinates are LPS."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from medai.core.errors import InputError, TruncatedFile, UnsupportedInput
from medai.core.geometry import FloatArray
from medai.core.qc import QCFlag

from .gate import orientation_unknown
from .headertext import data_file, numbers, whole_numbers
from .raw import RawImage
from .source import Payload, open_file

MAX_HEADER = 1 << 20
TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_ALIASES = {
    "position": "offset", "origin": "offset", "rotation": "transformmatrix", "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}  # fmt: skip


def parse_meta(path: Path) -> RawImage:
    """Return what an ``.mha`` or ``.mhd`` header says.

    Raises
    ------
    InputError
        If it is no MetaImage, a field is missing or wrong, or the data file lies outside the folder.
    UnsupportedInput
        For text voxels, lists of files and voxel types that are not read.
    """
    fields, end = _read_header(path)
    name = path.name
    if fields.get("objecttype", "image").lower() != "image":
        raise UnsupportedInput(f"{name!r} holds a {fields['objecttype'][:30]!r}, not an image.")
    dimension = whole_numbers(_need(fields, "ndims", name), 1, "NDims", name)[0]
    if not 2 <= dimension <= 4:
        raise UnsupportedInput(f"{name!r} has {dimension} dimensions; 2 to 4 are read.")
    sizes = whole_numbers(_need(fields, "dimsize", name), dimension, "DimSize", name)
    kind = _need(fields, "elementtype", name).upper().removesuffix("_ARRAY")
    if kind not in TYPES:
        raise UnsupportedInput(f"The voxels of {name!r} are of the type {kind[:30]!r}, which is not read.")
    big = _true(fields.get("binarydatabyteordermsb", "False"))
    dtype = np.dtype(TYPES[kind]).newbyteorder(">" if big else "<")
    components = whole_numbers(fields.get("elementnumberofchannels", "1"), 1, "ElementNumberOfChannels", name)[0]
    _refuse_intensity_function(fields, name)
    letters, stored = "tkji"[-dimension:], sizes[::-1]
    if components != 1:
        letters, stored = letters + "c", [*stored, components]
    matrix, flags = _affine(fields, dimension, name)
    return RawImage(
        name=name,
        dtype=dtype,
        axes=letters,
        sizes=tuple(stored),
        ijk_to_ras=matrix,
        payload=_payload(path, fields, end, int(np.prod([float(n) for n in stored])) * dtype.itemsize),
        flags=flags,
        meta={"format": "MetaImage"},
    )


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    with open_file(path) as stream:
        head = stream.read(MAX_HEADER)
    name = path.name
    if not re.match(rb"\s*[A-Za-z]+[ \t]*=", head[:200]):
        raise InputError(f"{name!r} is not a MetaImage file.", hint="Check the file's format.")
    fields: dict[str, str] = {}
    position = 0
    while True:
        stop = head.find(b"\n", position)
        line = head[position : stop if stop >= 0 else len(head)]
        key, equals, value = line.decode("utf-8", errors="replace").partition("=")
        position = stop + 1 if stop >= 0 else len(head)
        word = key.strip().lower()
        if equals:
            word = _ALIASES.get(word, word)
            if word in fields:
                raise InputError(
                    f"The header of {name!r} states {key.strip()[:40]!r} twice.", hint="The header is damaged."
                )
            fields[word] = value.strip()
        elif word and stop >= 0:
            raise InputError(f"The header of {name!r} has a line that is no field.", hint="The header is damaged.")
        if word == "elementdatafile":
            return fields, position
        if position >= len(head):
            raise TruncatedFile(f"{name!r} ends inside its MetaImage header.", hint="Copy or download the file again.")


def _need(fields: dict[str, str], key: str, name: str) -> str:
    if key not in fields:
        raise InputError(f"The MetaImage header of {name!r} has no {key} line.", hint="The header is damaged.")
    return fields[key]


def _true(text: str) -> bool:
    return text.strip().lower()[:1] in ("t", "1", "y")


def _refuse_intensity_function(fields: dict[str, str], name: str) -> None:
    slope = numbers(fields.get("elementtointensityfunctionslope", "1"), 1, "ElementToIntensityFunctionSlope", name)[0]
    offset = numbers(fields.get("elementtointensityfunctionoffset", "0"), 1, "ElementToIntensityFunctionOffset", name)[
        0
    ]
    if (slope, offset) != (1.0, 0.0):
        raise UnsupportedInput(
            f"{name!r} states an intensity function (slope {slope:g}, offset {offset:g}); readers disagree on it.",
            hint="Save the image with its real values.",
        )


def _affine(fields: dict[str, str], dimension: int, name: str) -> tuple[FloatArray, tuple[QCFlag, ...]]:
    used = min(dimension, 3)
    spacing = numbers(fields.get("elementspacing", " ".join("1" * dimension)), dimension, "ElementSpacing", name)[:used]
    if min(spacing) <= 0:
        raise InputError(f"The spacing of {name!r} is {spacing} mm; each must be positive.", hint="Repair the header.")
    offset = numbers(fields.get("offset", " ".join("0" * dimension)), dimension, "Offset", name)[:used]
    flags: tuple[QCFlag, ...] = ()
    if "transformmatrix" in fields:
        values = numbers(fields["transformmatrix"], dimension**2, "TransformMatrix", name)
        # each group of NDims numbers is the direction of one image axis
        direction = np.asarray(values).reshape(dimension, dimension).T[:used, :used]
    else:
        direction = np.eye(used)
        flags = (orientation_unknown("the MetaImage header has no TransformMatrix; axes are taken as L, P, S"),)
    lps = np.eye(4)
    lps[:used, :used] = direction * np.asarray(spacing)
    lps[:used, 3] = offset
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, flags


def _payload(path: Path, fields: dict[str, str], end: int, nbytes: int) -> Payload:
    name = path.name
    if not _true(fields.get("binarydata", "True")):
        raise UnsupportedInput(f"{name!r} stores its voxels as text.", hint="Save it as binary.")
    target = fields["elementdatafile"]
    file, start = path, end
    if target.upper() not in ("LOCAL", "LOCAL."):
        if target.upper().startswith("LIST") or "%" in target:
            raise UnsupportedInput(f"{name!r} spreads its voxels over several files.", hint="Save it as one file.")
        file, start = data_file(path, target), 0
    if _true(fields.get("compresseddata", "False")):
        return Payload(file, start, "zlib", 0, 0)
    skip = whole_numbers(fields.get("headersize", "0"), 1, "HeaderSize", name)[0]
    if skip == -1:
        with open_file(file) as stream:
            start = max(stream.seek(0, os.SEEK_END) - nbytes, start)
    elif skip < 0:
        raise InputError(f"{name!r} states HeaderSize {skip}.", hint="The header is damaged.")
    else:
        start += skip if file != path else 0
    return Payload(file, start, "raw", 0, 0)
