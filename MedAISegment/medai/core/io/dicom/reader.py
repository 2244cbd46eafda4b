"""A DICOM folder or file to a Volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import AmbiguousInput, InputError
from medai.core.geometry import Geometry
from medai.core.io.budget import check_sizes
from medai.core.io.gate import finish, orientation_unknown
from medai.core.io.scaling import apply_scaling
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from .decode import LOSSY
from .facts import facts_of
from .folder import scan
from .gdcm import GdcmDecoder
from .header import Header, read_header
from .pet import pet_facts
from .pixels import check_kind, is_negative, positive, read_frames, stored_type
from .placement import Placement, place
from .planes import Plane, planes_of
from .quiet import uid_name
from .series import Series, SeriesInfo, choose, folder_label, refuse_other_kinds, series_of

_UNITS = {"HU": "[hnsf'U]", "BQML": "Bq/mL", "GML": "g/mL", "CNTS": "{counts}", "CPS": "{counts}/s"}
"""DICOM rescale types and PET units to UCUM."""


def list_dicom(folder: Path) -> list[SeriesInfo]:
    """Return the image series below a folder; see :func:`medai.core.io.list_series`."""
    headers, _ = scan(folder)
    return [series.info() for series in series_of(headers)]


def read_dicom_folder(folder: Path, series_uid: str | None, frame: int | None) -> Volume:
    """Read one series of a folder; see :func:`medai.core.io.read_volume`."""
    headers, skipped = scan(folder)
    if headers and all(h.modality == headers[0].modality for h in headers):
        refuse_other_kinds(headers[0])
    series = choose(series_of(headers), series_uid, folder_label(folder))
    return _read(series, folder_label(folder), frame, skipped)


def read_dicom_file(path: Path, series_uid: str | None, frame: int | None) -> Volume:
    """Read one file: a slice as a 2D image, or a multi-frame volume."""
    if path.name.upper() == "DICOMDIR":
        raise InputError("A DICOMDIR only points to images.", hint="Give the folder that holds the image files.")
    header = read_header(path)
    if header is None:
        raise InputError(f"{path.name!r} is DICOM but holds no image.", hint="Give the image series.")
    refuse_other_kinds(header)
    if series_uid is not None and series_uid.split("#")[0] != header.series:
        raise InputError(f"{path.name!r} does not belong to series {series_uid[:70]!r}.")
    return _read(Series(header.series, tuple(planes_of(header))), path.name, frame, Counter())


def _read(series: Series, name: str, frame: int | None, skipped: Counter[str]) -> Volume:
    placement, extra = _place(series, name, frame)
    planes = placement.planes
    head = planes[0].header
    for header in {id(p.header): p.header for p in planes}.values():
        check_kind(header)
    sizes = [len(planes), head.rows, head.columns] + ([head.samples] if head.samples > 1 else [])
    geometry = Geometry.from_lps((len(planes), head.rows, head.columns), placement.ijk_to_lps)
    check_sizes(sizes, max(stored_type(p.header).itemsize for p in planes), name)
    array = _values(planes)
    meta = {"format": "DICOM", "codec": _syntax_name(head), **facts_of(head.dataset, head.name)}
    if is_negative(head):
        meta["inverted"] = "MONOCHROME1: bright is dense, as in MONOCHROME2"
    if head.modality == "PT":
        meta |= pet_facts(list({id(p.header): p.header for p in planes}.values()))
    if skipped:
        meta["skipped"] = "; ".join(f"{count} x {reason}" for reason, count in sorted(skipped.items()))
    if series.trait:
        meta["stack"] = series.trait
    volume = Volume(
        array,
        geometry,
        modality=head.modality,
        unit=_unit(planes),
        flags=(*placement.flags, *extra, *_image_flags(planes)),
        meta=meta,
    )
    return finish(volume, head.modality or "DICOM image")


def _place(series: Series, name: str, frame: int | None) -> tuple[Placement, tuple[QCFlag, ...]]:
    planes = series.planes
    if series.placed:
        whole = place(planes, name)
        return (whole if frame is None else place([_frame(whole.planes, frame, name)], name)), ()
    if len(planes) > 1 and frame is None:
        raise AmbiguousInput(
            f"{name!r} holds {len(planes)} frames without positions; one is needed.",
            hint=f"Choose a frame from 0 to {len(planes) - 1}.",
        )
    plane = _frame(planes, frame or 0, name)
    matrix = np.eye(4)
    spacing, source = _flat_spacing(plane)
    matrix[0, 0], matrix[1, 1] = spacing
    flag = orientation_unknown(f"the DICOM image has no position; its pixel spacing comes from {source}")
    return Placement((plane,), matrix, ()), (flag,)


def _frame(planes: Sequence[Plane], frame: int, name: str) -> Plane:
    if not 0 <= frame < len(planes):
        raise InputError(f"{name!r} has no frame {frame}; it holds {len(planes)}, counted from 0.")
    return planes[frame]


def _flat_spacing(plane: Plane) -> tuple[tuple[float, float], str]:
    if plane.spacing is not None:
        return plane.spacing, "Pixel Spacing"
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = plane.header.decimals(keyword, 2)
        if found is not None and min(found) > 0:
            return (found[1], found[0]), f"{keyword} (at the detector, not in the patient)"
    return (1.0, 1.0), "nowhere: 1 mm is assumed"


def _values(planes: Sequence[Plane]) -> npt.NDArray[Any]:
    """Return real values, shape (K, J, I[, 3]); each file is opened once."""
    head = planes[0].header
    wanted: dict[int, list[int]] = {}
    for number, plane in enumerate(planes):
        wanted.setdefault(id(plane.header), []).append(number)
    stored: npt.NDArray[Any] | None = None
    one_scale = len({(p.slope, p.intercept) for p in planes}) == 1
    kind = np.result_type(*{stored_type(p.header) for p in planes})
    with GdcmDecoder() as gdcm:
        for numbers in wanted.values():
            frames = read_frames(planes[numbers[0]].header, [planes[n].frame for n in numbers], gdcm)
            turn = is_negative(planes[numbers[0]].header)
            for number, recorded in zip(numbers, frames, strict=True):
                values = positive(planes[number].header, recorded) if turn else recorded
                if stored is None:
                    real = kind if one_scale else np.dtype(np.float64 if kind.itemsize > 2 else np.float32)
                    stored = np.empty((len(planes), *values.shape), dtype=real)
                if one_scale or head.samples > 1:
                    stored[number] = values
                else:
                    stored[number] = values.astype(np.float64) * planes[number].slope + planes[number].intercept
    assert stored is not None
    if one_scale and head.samples == 1:
        return np.asarray(apply_scaling(stored, planes[0].slope, planes[0].intercept))
    return stored


def _unit(planes: Sequence[Plane]) -> str:
    head = planes[0].header
    if head.modality == "CT":
        is_hu = planes[0].scaled and planes[0].rescale_type in ("", "HU")
        return _UNITS["HU"] if is_hu and "LOCALIZER" not in head.text("ImageType").upper() else ""
    if head.modality == "PT":
        return _UNITS.get(head.text("Units"), "")
    return ""


def _syntax_name(header: Header) -> str:
    return uid_name(header.syntax) or header.syntax


def _image_flags(planes: Sequence[Plane]) -> list[QCFlag]:
    flags = []
    headers = {id(p.header): p.header for p in planes}.values()
    if any(h.text("LossyImageCompression") == "01" or h.syntax in LOSSY for h in headers):
        flags.append(QCFlag("LOSSY_COMPRESSED", Severity.WARNING, "The image was compressed with loss."))
    if any(h.text("BurnedInAnnotation").upper() == "YES" for h in headers):
        flags.append(QCFlag("BURNED_IN", Severity.WARNING, "Text is burned into the pixels; it may name the patient."))
    if planes[0].header.modality == "CT" and not all(p.scaled for p in planes):
        message = "The CT image states no rescale slope and intercept: its values may not be Hounsfield units."
        flags.append(QCFlag("INT_RANGE_NOT_HU", Severity.WARNING, message))
    return flags
