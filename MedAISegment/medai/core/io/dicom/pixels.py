"""Stored values of DICOM frames, bit-exact; every frame must be complete."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError, TruncatedFile, UnsupportedInput

from .decode import decode_frame
from .gdcm import GdcmDecoder
from .header import Header, read_dataset
from .quiet import quiet_pydicom

_NATIVE: dict[str, Literal["<", ">"]] = {
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
}
_PHOTOMETRIC = {"MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"}


def stored_type(header: Header) -> np.dtype[Any]:
    """Return the numpy type that holds the stored values."""
    return np.dtype(f"{'i' if header.signed else 'u'}{header.allocated // 8}")


def check_kind(header: Header) -> None:
    """Refuse kinds of pixels that are not read, before anything is allocated.

    Raises
    ------
    UnsupportedInput
        For bit masks, palettes, four-channel images and odd bit depths.
    """
    photometric = header.text("PhotometricInterpretation")
    if header.allocated not in (8, 16, 32):
        raise UnsupportedInput(f"{header.name!r} allocates {header.allocated} bits a sample; 8, 16, 32 are read.")
    if photometric not in _PHOTOMETRIC or header.samples not in (1, 3):
        raise UnsupportedInput(
            f"{header.name!r} holds {photometric[:30] or 'unknown pixels'} with {header.samples} samples a pixel; "
            "grey and RGB images are read.",
            hint="Convert it to RGB or grey.",
        )
    if header.samples == 3 and header.allocated != 8:
        raise UnsupportedInput(f"{header.name!r} is a colour image of {header.allocated} bits; 8 are read.")


def read_frames(header: Header, frames: Sequence[int], gdcm: GdcmDecoder) -> list[npt.NDArray[Any]]:
    """Return the stored values of some frames of one file.

    Parameters
    ----------
    header : Header
        The file.
    frames : sequence of int
        Frame numbers, from 0.
    gdcm : GdcmDecoder
        Decodes what pydicom cannot.

    Returns
    -------
    list of arrays, shape (J, I) or (J, I, 3)

    Raises
    ------
    TruncatedFile
        If pixels are missing.
    DependencyError
        If no installed package reads the codec.
    """
    data = read_dataset(header.path, ("PixelData", "FloatPixelData", "DoubleFloatPixelData"), pixels=True)
    try:
        element = data["PixelData"]
        raw = element.value
    except KeyError:
        if "FloatPixelData" in data or "DoubleFloatPixelData" in data:
            raise UnsupportedInput(
                f"{header.name!r} is a parametric map with real pixels, which is not read."
            ) from None
        raise _short(header, "it has no pixel data") from None
    except Exception:  # damaged element
        raise _short(header, "its pixel data cannot be read") from None
    if not isinstance(raw, bytes):
        raise _short(header, "its pixel data cannot be read")
    if header.syntax in _NATIVE:
        return [_native(header, raw, frame) for frame in frames]
    streams = _encapsulated(header, raw)
    return [_masked(header, decode_frame(header, streams[frame], gdcm)) for frame in frames]


def _short(header: Header, why: str) -> TruncatedFile:
    return TruncatedFile(
        f"The DICOM file {header.name!r} is incomplete: {why}.",
        hint="Copy or export the file again; the series is not read without it.",
    )


def _native(header: Header, raw: bytes, frame: int) -> npt.NDArray[Any]:
    pixels = header.rows * header.columns
    subsampled = header.text("PhotometricInterpretation") == "YBR_FULL_422"
    if subsampled:
        raise UnsupportedInput(f"{header.name!r} holds sub-sampled colour (YBR_FULL_422).", hint="Convert it to RGB.")
    dtype = stored_type(header)
    one = pixels * header.samples * dtype.itemsize
    if len(raw) < one * header.frames:
        raise _short(header, f"{one * header.frames} bytes of pixels are needed, it holds {len(raw)}")
    order = _NATIVE[header.syntax]
    array = np.frombuffer(raw, dtype=dtype.newbyteorder(order), count=one // dtype.itemsize, offset=one * frame)
    if header.samples == 1:
        return _masked(header, array.astype(dtype).reshape(header.rows, header.columns))
    if order == ">" and dtype.itemsize == 1 and sys.byteorder == "little":
        raise UnsupportedInput(f"{header.name!r} is a big-endian colour image, which is not read.")
    planar = header.dataset.get("PlanarConfiguration", 0) == 1
    shape = (3, header.rows, header.columns) if planar else (header.rows, header.columns, 3)
    colour = array.reshape(shape)
    colour = np.ascontiguousarray(np.moveaxis(colour, 0, -1) if planar else colour)
    if header.text("PhotometricInterpretation").startswith("YBR"):
        from pydicom.pixels import convert_color_space

        with quiet_pydicom():
            colour = np.asarray(convert_color_space(colour, "YBR_FULL", "RGB"))
    return colour


def _masked(header: Header, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values with the unused high bits (old overlays lie there) replaced by zeros or by the sign."""
    dtype = stored_type(header)
    if header.samples > 1:
        return array.astype(dtype, copy=False)
    unused = header.allocated - header.stored
    if array.dtype.itemsize != dtype.itemsize or not unused:
        return array.astype(dtype, copy=False)
    unsigned = array.astype(array.dtype.newbyteorder("=")).view(f"u{dtype.itemsize}")
    return np.asarray(np.right_shift(np.left_shift(unsigned, unused).view(dtype), unused))


PROJECTIONS = frozenset({"CR", "DX", "MG", "IO", "PX", "RF", "RG", "XA"})
"""Modalities of projection radiography: the sense of their values is a matter of display."""


def is_negative(header: Header) -> bool:
    """Return whether low values are meant to be shown bright, in a radiograph; elsewhere values are quantities."""
    return header.text("PhotometricInterpretation") == "MONOCHROME1" and header.modality in PROJECTIONS


def positive(header: Header, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a negative radiograph's stored values turned round within the range that its bits hold.

    The same as applying the presentation LUT shape INVERSE (DICOM PS3.3, C.11.6.1.2): the lowest becomes the highest.
    """
    highest = (1 << header.stored) - 1 if not header.signed else -1
    return np.asarray(np.subtract(highest, array, dtype=array.dtype))


def _encapsulated(header: Header, raw: bytes) -> list[bytes]:
    """Split encapsulated pixel data into frames; the whole item structure must be intact (DICOM PS3.5, A.4)."""
    items: list[bytes] = []
    position = 0
    while position < len(raw):
        tag, length = raw[position : position + 4], raw[position + 4 : position + 8]
        if tag == b"\xfe\xff\xdd\xe0":
            break
        if tag != b"\xfe\xff\x00\xe0" or len(length) < 4:
            raise _short(header, "its compressed pixel data is damaged")
        size = struct.unpack("<I", length)[0]
        position += 8
        if position + size > len(raw):
            raise _short(header, "its compressed pixel data ends early")
        items.append(raw[position : position + size])
        position += size
    if len(items) < 2:
        raise _short(header, "its compressed pixel data holds no frame")
    table, fragments = items[0], items[1:]
    if len(fragments) == header.frames:
        return fragments
    if header.frames == 1:
        return [b"".join(fragments)]
    offsets = list(struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4]))
    starts = np.concatenate([[0], np.cumsum([8 + len(f) for f in fragments])[:-1]]).tolist()
    if len(offsets) != header.frames or offsets != sorted(set(offsets)) or not set(offsets) <= set(starts):
        raise InputError(
            f"{header.name!r} holds {len(fragments)} fragments for {header.frames} frames and no usable offset table.",
            hint="Export the file again.",
        )
    edges = [starts.index(o) for o in offsets] + [len(fragments)]
    return [b"".join(fragments[a:b]) for a, b in pairwise(edges)]
