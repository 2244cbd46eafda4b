"""The header of one DICOM image file, read without its pixels and without patient data."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from medai.core.errors import InputError, TruncatedFile, UnsupportedInput
from medai.core.io.source import open_file

from .facts import FACT_KEYWORDS
from .quiet import pydicom_module, quiet_pydicom, uid_name
from .values import decimals, text, value_of, whole

MAX_FRAMES = 1 << 20
DEFLATED = b"1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
_META_END = 1 << 16

SPLIT_KEYWORDS = (
    "EchoTime", "EchoNumbers", "TemporalPositionIdentifier", "DiffusionBValue", "TriggerTime", "AcquisitionNumber",
    "ImageType", "ComplexImageComponent", "ConvolutionKernel", "ContentTime", "AcquisitionTime",
)  # fmt: skip
"""Attributes that tell apart images at one position, in the order in which they are tried."""

_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "SeriesNumber", "Modality",
    "InstanceNumber", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "LossyImageCompression", "BurnedInAnnotation", "Units",
    "AcquisitionDate", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "SpecificCharacterSet",
    *SPLIT_KEYWORDS, *FACT_KEYWORDS,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What one image file says about itself.

    Parameters
    ----------
    path : Path
        The file.
    dataset : pydicom.Dataset
        The attributes that we look at, nothing about the patient, no pixels.
    syntax : str
        Transfer syntax UID.
    rows, columns, samples, frames : int
        Sizes.
    allocated, stored : int
        Bits a sample takes and uses.
    signed : bool
        True if stored values are two's complement.
    series : str
        SeriesInstanceUID; may be empty in de-identified files.
    modality : str
        DICOM modality.
    """

    path: Path
    dataset: Any = field(repr=False)
    syntax: str
    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    signed: bool
    series: str
    modality: str

    @property
    def name(self) -> str:
        """File name, for messages."""
        return self.path.name

    def decimals(self, keyword: str, count: int) -> list[float] | None:
        """See :func:`medai.core.io.dicom.values.decimals`."""
        return decimals(self.dataset, keyword, count, self.name)

    def text(self, keyword: str) -> str:
        """See :func:`medai.core.io.dicom.values.text`."""
        return text(self.dataset, keyword, self.name)


def has_mark(path: Path) -> bool:
    """Return whether the file carries DICOM's mark behind its 128-byte preamble."""
    with open_file(path) as stream:
        return stream.read(132)[128:] == b"DICM"


class ClampedStream:
    """A file whose ``read`` never asks for more than is left.

    A damaged element may claim 4 GiB; Python would allocate that before it finds the end of the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = os.fstat(stream.fileno()).st_size
        self.tell, self.seek, self.close = stream.tell, stream.seek, stream.close

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes, everything that is left if negative."""
        left = max(self._size - self._stream.tell(), 0)
        return self._stream.read(left if size is None or size < 0 else min(size, left))


def read_dataset(path: Path, keywords: tuple[str | int, ...], *, pixels: bool) -> Any:
    """Read chosen attributes of a file, given by keyword or as a number (group and element).

    Raises
    ------
    InputError
        If it is no DICOM file or is damaged.
    UnsupportedInput
        For the deflated transfer syntax, whose size cannot be known beforehand.
    """
    pydicom = pydicom_module()
    name = path.name
    with quiet_pydicom(), open_file(path) as stream:
        head = stream.read(_META_END)
        if DEFLATED in head:
            raise UnsupportedInput(
                f"{name!r} uses the transfer syntax Deflated Explicit VR Little Endian, which is not read.",
                hint="Convert it, for example with dcmconv of DCMTK.",
            )
        stream.seek(0)
        marked = head[128:132] == b"DICM"
        try:
            return pydicom.dcmread(
                ClampedStream(stream), stop_before_pixels=not pixels, force=not marked, specific_tags=list(keywords)
            )
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # damaged bytes make pydicom raise almost anything
            if pixels or isinstance(error, EOFError):  # the header alone was readable before
                raise TruncatedFile(
                    f"{name!r} is cut short or damaged: its pixels cannot be reached.",
                    hint="Copy or export the file again.",
                ) from None
            raise InputError(f"{name!r} is not a readable DICOM file.", hint="Export it again.") from None


def read_header(path: Path) -> Header | None:
    """Read the header of an image file; None if the file is DICOM but holds no image.

    Raises
    ------
    InputError
        If the file is damaged, or sizes and bit depths are impossible.
    """
    dataset = read_dataset(path, _KEYWORDS, pixels=False)
    name = path.name
    rows = whole(dataset, "Rows", name, 1, 65535)
    columns = whole(dataset, "Columns", name, 1, 65535)
    if rows is None and columns is None:
        _require_no_image(dataset, name)
        return None
    allocated = whole(dataset, "BitsAllocated", name, 1, 64)
    samples = whole(dataset, "SamplesPerPixel", name, 1, 4) or 1
    if rows is None or columns is None or allocated is None:
        raise InputError(f"{name!r} lacks Rows, Columns or Bits Allocated.", hint="The file is damaged.")
    stored = whole(dataset, "BitsStored", name, 1, allocated) or allocated
    high = whole(dataset, "HighBit", name, 0, 63)
    if allocated != 1 and high is not None and high != stored - 1:
        raise UnsupportedInput(f"{name!r} keeps its values in unusual bits (High Bit {high}, Bits Stored {stored}).")
    return Header(
        path=path,
        dataset=dataset,
        syntax=_syntax(dataset, name),
        rows=rows,
        columns=columns,
        samples=samples,
        frames=whole(dataset, "NumberOfFrames", name, 1, MAX_FRAMES) or 1,
        allocated=allocated,
        stored=stored,
        signed=whole(dataset, "PixelRepresentation", name, 0, 1) == 1,
        series=text(dataset, "SeriesInstanceUID", name),
        modality=text(dataset, "Modality", name)[:16],
    )


def _meta_value(dataset: Any, keyword: str, name: str) -> Any:
    return value_of(getattr(dataset, "file_meta", {}), keyword, name)


def _syntax(dataset: Any, name: str) -> str:
    """Return the transfer syntax; a file without any is in DICOM's default, implicit little endian."""
    found = str(_meta_value(dataset, "TransferSyntaxUID", name) or IMPLICIT)
    if not re.fullmatch(r"[0-9.]{1,64}", found):
        raise InputError(f"The transfer syntax of {name!r} is not a UID.", hint="The file is damaged.")
    return found


def _require_no_image(dataset: Any, name: str) -> None:
    """Refuse a file without sizes whose class promises an image: its header was cut off."""
    found = value_of(dataset, "SOPClassUID", name) or _meta_value(dataset, "MediaStorageSOPClassUID", name)
    kind = uid_name(str(found))
    if not kind or "Image" in kind or "Segmentation" in kind:
        raise TruncatedFile(
            f"{name!r} has no Rows and Columns: it is damaged, cut short or no DICOM image.",
            hint="Copy or export the file again.",
        )
