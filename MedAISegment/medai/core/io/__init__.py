"""Reading and writing images, behind a gate that refuses damaged, impossible and ambiguous files.

Every reader checks the header before it allocates, reads compressed streams to their checksum, keeps the true affine,
and says as a quality flag what is doubtful.  Every writer replaces the old file in one step and puts nothing about a
patient into the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medai.core.errors import InputError, UnsupportedInput
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume

from .dicom.series import SeriesInfo
from .formats import SUFFIXES, format_of, stem
from .gate import finish, guarded
from .meta import parse_meta
from .nifti import parse_nifti
from .nrrd import parse_nrrd
from .raw import RawImage
from .segnrrd import has_segments, labels_from_pairs, pairs_from_labels
from .source import open_file
from .writing import write_image

__all__ = [
    "SeriesInfo",
    "count_frames",
    "list_series",
    "read_labelmap",
    "read_volume",
    "write_labelmap",
    "write_volume",
]

_PARSERS = {"nifti": parse_nifti, "nrrd": parse_nrrd, "meta": parse_meta}


def read_volume(path: str | Path, *, series_uid: str | None = None, frame: int | None = None) -> Volume:
    """Read an image.

    Parameters
    ----------
    path : str or Path
        A NIfTI, NRRD, MetaImage, PNG, JPEG or TIFF file, a DICOM file, or a folder with DICOM files.
    series_uid : str, optional
        Which series of a DICOM folder, as :func:`list_series` names it.
    frame : int, optional
        Which frame of a 4D image, page of a TIFF, frame of a multi-frame DICOM file or slice of a series, from 0.

    Returns
    -------
    Volume
        Array (K, J, I), or (K, J, I, components) for colour and vectors; affine in RAS mm; real values (slope and
        intercept applied); a 2D image has K = 1.  ``flags`` says what is doubtful about the image, ``meta`` holds facts
        about format and acquisition, nothing about a patient.

    Raises
    ------
    TruncatedFile
        If data is missing or a checksum does not hold.
    AmbiguousInput
        If there are several series or frames and none was chosen; the message lists them.
    UnsupportedInput
        If the file is of a kind that is not read.
    InputError, GeometryError
        If the header is impossible (sizes, spacing, directions, scaling) or asks for too much memory.
    DependencyError
        If a DICOM codec, or the package for a format, is not installed.
    """
    file = Path(path)
    with guarded(file.name):
        if file.is_dir():
            from .dicom.reader import read_dicom_folder

            return read_dicom_folder(file, series_uid, frame)
        kind = _kind(file)
        if kind == "dicom":
            from .dicom.reader import read_dicom_file

            return read_dicom_file(file, series_uid, frame)
        if series_uid is not None:
            raise InputError(f"{file.name!r} is no DICOM folder, so no series can be chosen.")
        if kind == "picture":
            from .picture import read_picture

            return finish(read_picture(file, frame), stem(file))
        return finish(_parse(kind, file).read(frame), stem(file))


def count_frames(path: str | Path) -> int:
    """Return the number of frames of a 4D NIfTI, NRRD or MetaImage file; 1 for everything else.

    Raises
    ------
    InputError
        As :func:`read_volume`; the voxels are not read.
    """
    file = Path(path)
    with guarded(file.name):
        kind = "" if file.is_dir() else _kind(file)
        return _parse(kind, file).size("t") if kind in _PARSERS else 1


def read_labelmap(path: str | Path, *, segments: Sequence[Segment] = ()) -> LabelMap:
    """Read a label image.

    Parameters
    ----------
    path : str or Path
        A file that :func:`read_volume` reads; a ``.seg.nrrd`` file brings its segments' names, colours and codes.
    segments : sequence of Segment, optional
        Names for the labels; they replace those in the file.

    Raises
    ------
    InputError
        For fractions, NaN, negative values and labels above 65535, and as :func:`read_volume`.
    UnsupportedInput
        For colour images and overlapping segments.
    """
    file = Path(path)
    with guarded(file.name):
        kind = "" if file.is_dir() else _kind(file)
        found = tuple(segments)
        if kind == "picture":
            from .picture import read_picture

            volume = finish(read_picture(file, indices=True), stem(file))
        elif kind == "nrrd":
            raw = parse_nrrd(file)
            described = has_segments(raw.extra)
            volume = finish((raw.with_layers() if described else raw).read(), stem(file))
            if described:
                array, named = labels_from_pairs(volume.array, raw.extra, file.name)
                return LabelMap(array, volume.geometry, found or named, volume.flags)
        else:
            volume = read_volume(file)
        if volume.components != 1:
            raise UnsupportedInput(
                f"{file.name!r} holds {volume.components} components per voxel; a label image holds one.",
                hint="Give a label image, not a colour image.",
            )
        return LabelMap(volume.array, volume.geometry, found, volume.flags)


def write_volume(volume: Volume, path: str | Path, *, cancel: CancelToken | None = None) -> None:
    """Write an image; the format follows the suffix (``.nii``, ``.nii.gz``, ``.nrrd``, ``.mha``).

    Voxel types are kept (booleans become uint8, float16 becomes float32).  The affine is exact in NRRD and MetaImage;
    NIfTI-1 holds it in single precision, and NIfTI-2 is written where that would move a corner by 1e-4 mm or more.

    Parameters
    ----------
    volume : Volume
        Never changed.
    path : path
        Where to; an old file is replaced when the new one is complete.
    cancel : CancelToken, optional
        Polled several times a second; a write that is stopped leaves an old file as it was.

    Raises
    ------
    InputError
        For another suffix.
    UnsupportedInput
        If the format cannot hold the image (a sheared grid in MetaImage).
    OutputError
        If the file cannot be written; an old file is untouched then.
    """
    write_image(volume.array, volume.geometry, Path(path), cancel=cancel)


def write_labelmap(labels: LabelMap, path: str | Path, *, cancel: CancelToken | None = None) -> None:
    """Write a label image; see :func:`write_volume`.  A ``.seg.nrrd`` file keeps names, colours and codes."""
    file = Path(path)
    pairs = pairs_from_labels(labels) if file.name.lower().endswith(".seg.nrrd") else {}
    write_image(labels.array, labels.geometry, file, pairs, cancel=cancel)


def list_series(folder: str | Path) -> list[SeriesInfo]:
    """List the DICOM image series below a folder.

    Returns
    -------
    list of SeriesInfo
        ``uid``, ``modality``, ``description``, ``count``, ``shape`` (K, J, I); several stacks in one series (a
        localiser, echoes) get ``#1``, ``#2`` behind the UID.

    Raises
    ------
    InputError
        If it is no folder, or a DICOM file in it is damaged.
    """
    from .dicom.reader import list_dicom

    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"{place.name!r} is not a folder.", hint="Give the folder that holds the DICOM files.")
    with guarded(place.name):
        return list_dicom(place)


def _kind(file: Path) -> str:
    """Return the format by suffix, or ``dicom`` by content for the suffixes and bare names that DICOM exports have."""
    kind = format_of(file)
    if kind:
        return kind
    with open_file(file) as stream:
        marked = stream.read(132)[128:] == b"DICM"
    if marked or file.name.upper() == "DICOMDIR":
        return "dicom"
    raise UnsupportedInput(
        f"{file.name!r} is of no format that is read.", hint=f"Read are DICOM and {', '.join(sorted(SUFFIXES))}."
    )


def _parse(kind: str, file: Path) -> RawImage:
    return _PARSERS[kind](file)
