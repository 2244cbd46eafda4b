"""Compressed frames to stored values: pydicom's decoders first, then SimpleITK's; else the missing codec is named."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import DependencyError, InputError

from .codestream import frame_size
from .header import Header, quiet_pydicom

_RLE = "1.2.840.10008.1.2.5"
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_SIMPLEITK = {
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


def decode_frame(header: Header, stream: bytes) -> npt.NDArray[Any]:
    """Return the stored values of one compressed frame, shape (J, I) or (J, I, components).

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
    array = _by_pydicom(header, stream)
    if array is None:
        array = _by_simpleitk(header, stream)
    if array is None:
        raise _no_codec(header.syntax)
    shape = (header.rows, header.columns, header.samples)[: 3 if header.samples > 1 else 2]
    if array.shape != shape:
        raise InputError(
            f"A frame of {header.name!r} decodes to {array.shape}, expected {shape}.", hint="It is damaged."
        )
    return array


def _no_codec(syntax: str) -> DependencyError:
    from pydicom.uid import UID

    package = _PACKAGES.get(syntax, "pylibjpeg")
    return DependencyError(
        f"No installed package reads the DICOM codec {UID(syntax).name!r} ({syntax}).",
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


def _by_pydicom(header: Header, stream: bytes) -> npt.NDArray[Any] | None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    try:
        decoder = get_decoder(UID(header.syntax))
    except NotImplementedError:
        return None
    if not decoder.is_available or (header.syntax == _JPEG_EXTENDED and header.stored > 8):
        return None  # Pillow offers itself for 12-bit JPEG, fails, and libjpeg complains on the console
    try:
        with quiet_pydicom():
            array, _ = decoder.as_array(_frame_dataset(header, stream), raw=header.samples == 1)
    except MemoryError:
        raise
    except Exception:  # a plugin that cannot (12-bit JPEG in Pillow): the next decoder decides
        return None
    return np.asarray(array)


def _by_simpleitk(header: Header, stream: bytes) -> npt.NDArray[Any] | None:
    if header.syntax not in _SIMPLEITK or header.samples > 1:
        return None
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory(prefix="medai-") as folder, quiet_pydicom():
        path = Path(folder, "frame.dcm")
        _frame_dataset(header, stream).save_as(path, enforce_file_format=True)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        try:
            image = np.asarray(sitk.GetArrayFromImage(reader.Execute()))
        except RuntimeError:
            raise InputError(
                f"A compressed frame of {header.name!r} cannot be decoded.", hint="Copy or export the file again."
            ) from None
    return np.asarray(image[0])
