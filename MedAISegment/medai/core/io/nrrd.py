"""NRRD headers, attached and detached (teem.sourceforge.net/nrrd/format.html).

Axes are listed fastest first.  The space directions are vectors of the named space; MedAI keeps RAS.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from medai.core.errors import InputError, TruncatedFile, UnsupportedInput
from medai.core.geometry import FloatArray
from medai.core.qc import QCFlag

from .gate import orientation_unknown
from .headertext import data_file, numbers, whole_numbers
from .raw import RawImage
from .source import Payload, open_file

MAX_HEADER = 1 << 20
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
TYPES = {word: code for code, words in _TYPES.items() for word in words}
ENCODINGS = {"raw": "raw", "gz": "gzip", "gzip": "gzip", "bz2": "bzip2", "bzip2": "bzip2"}
_SPACES = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
_SPATIAL = {"domain", "space"}
_FRAMES = {"time", "list"}
_UNIT_MM = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "": 1.0}


def parse_nrrd(path: Path) -> RawImage:
    """Return what an ``.nrrd`` or ``.nhdr`` header says.

    Raises
    ------
    InputError
        If it is no NRRD file, a field is missing or wrong, or the data file lies outside the folder.
    UnsupportedInput
        For encodings and layouts that are not read (hex, ASCII, lists of files).
    """
    fields, pairs, end = _read_header(path)
    name = path.name
    dimension = whole_numbers(_need(fields, "dimension", name), 1, "dimension", name)[0]
    if not 2 <= dimension <= 5:
        raise UnsupportedInput(f"{name!r} has {dimension} dimensions; 2 to 5 are read.")
    sizes = whole_numbers(_need(fields, "sizes", name), dimension, "sizes", name)
    type_word = _need(fields, "type", name).lower()
    if type_word not in TYPES:
        raise UnsupportedInput(f"The voxels of {name!r} are of the type {type_word[:40]!r}, which is not read.")
    dtype = np.dtype(TYPES[type_word])
    if dtype.itemsize > 1:
        endian = _need(fields, "endian", name).lower()
        if endian not in ("little", "big"):
            raise InputError(f"{name!r} states the byte order {endian[:20]!r}; little or big is needed.")
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    directions = _directions(fields, dimension, name)
    axes = _letters(fields, sizes, directions, name)
    matrix, flags = _affine(fields, axes, sizes, directions, name)
    return RawImage(
        name=name,
        dtype=dtype,
        axes=axes[::-1],
        sizes=tuple(sizes[::-1]),
        ijk_to_ras=matrix,
        payload=_payload(path, fields, end, int(np.prod([float(n) for n in sizes])) * dtype.itemsize),
        flags=flags,
        meta={"format": "NRRD"},
        extra=pairs,
    )


def _read_header(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    with open_file(path) as stream:
        head = stream.read(MAX_HEADER)
    name = path.name
    if not re.match(rb"NRRD000[1-5]\r?\n", head):
        raise InputError(f"{name!r} is not an NRRD file.", hint="Check the file's format.")
    stop = re.search(rb"\r?\n\r?\n", head)
    detached = re.search(rb"(?im)^data ?file\s*:", head[: stop.start()] if stop else head)
    if not stop and not detached:
        raise TruncatedFile(f"{name!r} ends inside its NRRD header.", hint="Copy or download the file again.")
    text = (head[: stop.start()] if stop else head).decode("utf-8", errors="replace")
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#") or not line.strip():
            continue
        if ":=" in line and not re.match(r"[a-z ]+: ", line):
            key, _, value = line.partition(":=")
            pairs[key.strip()] = _unescaped(value.strip())
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise InputError(f"The header of {name!r} has a line that is no field: {line[:40]!r}.")
        key = key.strip().lower()
        key = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip", "centerings": "centers"}.get(
            key, key
        )
        if key in fields:
            raise InputError(f"The header of {name!r} states {key!r} twice.", hint="The header is damaged.")
        fields[key] = value.strip()
    return fields, pairs, stop.end() if stop else len(head)


def _unescaped(value: str) -> str:
    return re.sub(r"\\(n|\\)", lambda found: "\n" if found[1] == "n" else "\\", value)


def _need(fields: dict[str, str], key: str, name: str) -> str:
    if key not in fields:
        raise InputError(f"The NRRD header of {name!r} has no {key!r} line.", hint="The header is damaged.")
    return fields[key]


def _directions(fields: dict[str, str], dimension: int, name: str) -> list[FloatArray | None] | None:
    if "space directions" not in fields:
        return None
    words = re.findall(r"none|\([^)]*\)", fields["space directions"], flags=re.IGNORECASE)
    if len(words) != dimension:
        raise InputError(f"'space directions' of {name!r} has {len(words)} entries for {dimension} axes.")
    found: list[FloatArray | None] = []
    for word in words:
        if word.lower() == "none":
            found.append(None)
            continue
        found.append(np.array(numbers(word.strip("()").replace(",", " "), None, "space directions", name)))
    return found


def _letters(fields: dict[str, str], sizes: list[int], directions: Any, name: str) -> str:
    """Return one letter an axis, fastest first."""
    count = len(sizes)
    kinds = fields.get("kinds", "").lower().split()
    if kinds and len(kinds) != count:
        raise InputError(f"'kinds' of {name!r} has {len(kinds)} entries for {count} axes.")
    if directions is not None:
        spatial = [d is not None for d in directions]
    elif kinds:
        spatial = [kind in _SPATIAL or kind == "???" for kind in kinds]
    else:
        spatial = [n < 3 for n in range(count)]
    if not 2 <= sum(spatial) <= 3:
        raise UnsupportedInput(f"{name!r} has {sum(spatial)} spatial axes; 2 or 3 are read.")
    letters, space = "", iter("ijk")
    for axis in range(count):
        if spatial[axis]:
            letters += next(space)
        elif (kinds and kinds[axis] in _FRAMES) or (axis == count - 1 and not kinds):
            letters += "t"
        else:
            letters += "c"
    if letters.count("t") > 1 or letters.count("c") > 1:
        raise UnsupportedInput(f"{name!r} has several non-spatial axes of one kind; one is read.")
    return letters


def _affine(
    fields: dict[str, str], axes: str, sizes: list[int], directions: Any, name: str
) -> tuple[FloatArray, tuple[QCFlag, ...]]:
    matrix = np.eye(4)
    flags: tuple[QCFlag, ...] = ()
    space = fields.get("space", "").lower()
    signs = _SPACES.get(space.removesuffix("-time"))
    if directions is None:
        matrix[:3, :3] = np.diag(_plain_spacing(fields, axes, len(sizes), name))
        flags = (orientation_unknown("the NRRD header has no space directions; axes are taken as L, P, S"),)
        signs = _SPACES["lps"]
    else:
        columns = [d for d in directions if d is not None]
        if any(len(d) not in (2, 3) or len(d) != len(columns[0]) for d in columns):
            raise InputError(f"'space directions' of {name!r} are not vectors of one space with 2 or 3 axes.")
        for number, vector in enumerate(columns):
            matrix[: len(vector), number] = vector
            if not np.linalg.norm(vector) > 0:
                raise InputError(f"The spacing of {name!r} along axis {'ijk'[number]} is 0.", hint="Repair the header.")
        if len(columns) == 2 and len(columns[0]) == 3:
            normal = np.cross(matrix[:3, 0], matrix[:3, 1])
            matrix[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)
        matrix[:3, :3] *= _unit(fields, name)
        if signs is None:
            signs = _SPACES["lps"]
            flags = (orientation_unknown(f"the NRRD space {space[:40]!r} is not anatomical; taken as LPS"),)
    origin = fields.get("space origin")
    if origin:
        values = numbers(origin.strip("() ").replace(",", " "), None, "space origin", name)
        if len(values) > 3:
            raise InputError(f"'space origin' of {name!r} has {len(values)} numbers.")
        matrix[: len(values), 3] = np.asarray(values) * (_unit(fields, name) if directions is not None else 1.0)
    matrix[:3] *= np.asarray(signs, dtype=np.float64)[:, None]
    return matrix, flags


def _plain_spacing(fields: dict[str, str], axes: str, count: int, name: str) -> list[float]:
    spacing = {"i": 1.0, "j": 1.0, "k": 1.0}
    if "spacings" in fields:
        words = fields["spacings"].split()
        if len(words) != count:
            raise InputError(f"'spacings' of {name!r} has {len(words)} entries for {count} axes.")
        for letter, word in zip(axes, words, strict=True):
            if letter in spacing:
                spacing[letter] = numbers(word, 1, "spacings", name)[0]
    values = [spacing[letter] for letter in "ijk"]
    if min(values) <= 0:
        raise InputError(f"The spacing of {name!r} is {values} mm; each must be positive.", hint="Repair the header.")
    return values


def _unit(fields: dict[str, str], name: str) -> float:
    words = {w.strip('"').lower() for w in fields.get("space units", '""').split()} - {"???", "none", "s"}
    if not words:
        return 1.0
    if len(words) > 1 or not words <= set(_UNIT_MM):
        raise UnsupportedInput(f"{name!r} measures space in {fields['space units'][:40]!r}; millimetres are needed.")
    return _UNIT_MM[words.pop()]


def _payload(path: Path, fields: dict[str, str], end: int, nbytes: int) -> Payload:
    name = path.name
    encoding = _need(fields, "encoding", name).lower()
    if encoding not in ENCODINGS:
        raise UnsupportedInput(
            f"{name!r} is encoded as {encoding[:20]!r}; raw, gzip and bzip2 are read.", hint="Save it as raw or gzip."
        )
    if fields.get("line skip", "0") != "0":
        raise UnsupportedInput(f"{name!r} uses 'line skip', which is not read.", hint="Save the image again.")
    skip = whole_numbers(fields.get("byte skip", "0"), 1, "byte skip", name)[0]
    file, start = path, end
    if "data file" in fields:
        target = fields["data file"]
        if target.upper().startswith("LIST") or re.search(r"%\d*d", target):
            raise UnsupportedInput(f"{name!r} spreads its voxels over several files.", hint="Save it as one file.")
        file, start = data_file(path, target), 0
    if skip == -1 and encoding == "raw":
        with open_file(file) as stream:
            start = max(stream.seek(0, 2) - nbytes, start)
        skip = 0
    if skip < 0:
        raise InputError(f"{name!r} states 'byte skip' {skip}.", hint="The header is damaged.")
    if encoding == "raw":
        return Payload(file, start + skip, "raw", 0, 0)
    return Payload(file, start, ENCODINGS[encoding], skip, 0)
