"""Compressed frames to stored values: pydicom's decoders first, then GDCM's; else the missing codec is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import DependencyError, InputError

from .codestream import frame_size
from .gdcm import GdcmDecoder
from .header import Header
from .quiet import quiet_pydicom, uid_name

_RLE = "1.2.840.10008.1.2.5"
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_GDCM = {
    _JPEG_BASELINE, "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
}  # fmt: skip
"""Transfer syntaxes that GDCM inside SimpleITK decodes."""
_PACKAGES = {
    "1.2.840.10008.1.2.4.50": "pylibjpeg-libjpeg", "1.2.840.10008.1.2.4.51": "pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.57": "pylibjpeg-libjpeg", "1.2.840.10008.1.2.4.70": "pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.80": "pyjpegls", "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg-openjpeg", "1.2.840.10008.1.2.4.91": "pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg-openjpeg", "1.2.840.10008.1.2.4.202": "pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg-openjpeg", _RLE: "pylibjpeg-rle",
}  # fmt: skip
LOSSY = {
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
}  # fmt: skip
"""Transfer syntaxes that are, or may be, lossy."""


def decode_frame(header: Header, stream: bytes, gdcm: GdcmDecoder) -> npt.NDArray[Any]:
    """Return the stored values of one compressed frame, shape (J, I) or (J, I, components).

    Parameters
    ----------
    header : Header
        What the file says about its pixels.
    stream : bytes
        The frame's code stream.
    gdcm : GdcmDecoder
        Where codecs go that pydicom has no plugin for.

    Raises
    ------
    DependencyError
        If no installed package reads this codec; the message names the codec and a package.
    InputError
        If the frame is damaged or its size differs from the header's.
    """
    if header.syntax != _RLE:
        claimed = frame_size(stream, header.name)
        stated = (header.rows, header.columns, header.samples)
        if claimed is None or (claimed.rows, claimed.columns, claimed.components) != stated:
            given = (claimed.rows, claimed.columns, claimed.components) if claimed else "no readable size"
            raise InputError(
                f"A compressed frame of {header.name!r} claims {given}, its DICOM header {stated} "
                "(rows, columns, components).",
                hint="The file is damaged.",
            )
        if not 1 <= claimed.bits <= header.allocated:
            raise InputError(
                f"A compressed frame of {header.name!r} claims {claimed.bits} bits, its header allocates "
                f"{header.allocated}.",
                hint="The file is damaged.",
            )
    array, tried = None, False
    decoder = _plugin(header)
    if decoder is not None:
        array, tried = _by_pydicom(decoder, header, stream), True
    if array is None and header.syntax in _GDCM and header.samples == 1:
        array, tried = gdcm.decode(_frame_dataset(header, stream)), True
    if array is None and not tried:
        raise _no_codec(header.syntax)
    if array is None:
        raise InputError(
            f"A compressed frame of {header.name!r} cannot be decoded.", hint="Copy or export the file again."
        )
    shape = (header.rows, header.columns, header.samples)[: 3 if header.samples > 1 else 2]
    if array.shape != shape:
        raise InputError(
            f"A frame of {header.name!r} decodes to {array.shape}, expected {shape}.", hint="It is damaged."
        )
    return array


def _no_codec(syntax: str) -> DependencyError:
    package = _PACKAGES.get(syntax, "pylibjpeg")
    return DependencyError(
        f"No installed package reads the DICOM codec {uid_name(syntax)!r} ({syntax}).",
        hint=f"Install {package}: pip install pylibjpeg {package}."
        if package != "pylibjpeg"
        else "Decompress it first.",
    )


def _frame_dataset(header: Header, stream: bytes) -> Any:
    """Return a data set with this one frame and nothing about a patient, unscaled."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(header.syntax)
    data.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    data.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    data.SOPClassUID, data.SOPInstanceUID = data.file_meta.MediaStorageSOPClassUID, UID("2.25.1")
    data.Rows, data.Columns, data.SamplesPerPixel = header.rows, header.columns, header.samples
    data.BitsAllocated, data.BitsStored, data.HighBit = header.allocated, header.stored, header.stored - 1
    data.PixelRepresentation = int(header.signed)
    data.PhotometricInterpretation = header.text("PhotometricInterpretation") or "MONOCHROME2"
    if header.samples > 1:
        data.PlanarConfiguration = 0
    data.PixelData = encapsulate([stream])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return data


def _plugin(header: Header) -> Any:
    """Return pydicom's decoder for this codec, None if it has none that works here."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    if not uid_name(header.syntax):
        return None
    if header.syntax == _JPEG_EXTENDED and header.stored > 8:
        return None  # Pillow offers itself for 12-bit JPEG, fails, and libjpeg complains on the console
    try:
        decoder = get_decoder(UID(header.syntax))
    except NotImplementedError:
        return None
    return decoder if decoder.is_available else None


def _by_pydicom(decoder: Any, header: Header, stream: bytes) -> npt.NDArray[Any] | None:
    try:
        with quiet_pydicom():
            array, _ = decoder.as_array(_frame_dataset(header, stream), raw=header.samples == 1)
    except MemoryError:
        raise
    except Exception:  # every plugin raises its own kinds for a damaged frame
        return None
    return np.asarray(array)
