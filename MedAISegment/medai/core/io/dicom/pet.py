"""What a standardised uptake value needs of a PET series' headers: numbers and one interval, no date and no name.

The order in which times are trusted is that of QIBA's vendor-neutral pseudo-code for SUV (Quantitative Imaging
Biomarkers Alliance, FDG-PET/CT technical committee, "SUV vendor neutral pseudo-code, happy path only").
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from medai.core.errors import InputError

from .header import Header, read_dataset
from .values import decimal, text, value_of

_NUMBERS = ("PatientWeight", "PatientSize")
_WORDS = {"PatientSex": r"[MFO]", "SUVType": r"[A-Z0-9]{1,16}"}
"""Texts that are kept, and what they must look like: a damaged header may hold a name anywhere."""
_DOSE = ("RadionuclideTotalDose", "RadionuclideHalfLife")
_DRUG = "RadiopharmaceuticalInformationSequence"
_TIMES = ("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration")
_PHILIPS = (0x7053, "Philips PET Private Group")
_GE = (0x0009, "GEMS_PETD_01")
_BLOCKS = range(0x10, 0x20)
_PRIVATE = tuple(
    (group << 16) | element
    for group, offsets in ((_PHILIPS[0], (0x00, 0x09)), (_GE[0], (0x0D,)))
    for block in _BLOCKS
    for element in (block, *((block << 8) | offset for offset in offsets))
)


def pet_facts(headers: Sequence[Header]) -> dict[str, str]:
    """Return the facts, as text under these keys; what is missing or unreadable is left out.

    ``PatientWeight`` (kg), ``PatientSize`` (m), ``PatientSex``, ``SUVType``, ``RadionuclideTotalDose`` (Bq),
    ``RadionuclideHalfLife`` (s), ``PhilipsSUVScale``, ``PhilipsActivityScale``; ``DecaySeconds``: from injection to the
    time for which the values are decay corrected (the start of the scan), or, without decay correction, at which they
    were measured; ``DecayReference``: what that time was taken from.

    Parameters
    ----------
    headers : sequence of Header
        Of one series, one for each file.
    """
    first = headers[0]
    data = read_dataset(first.path, (*_NUMBERS, *_WORDS, *_TIMES, "DecayCorrection", _DRUG, *_PRIVATE), pixels=False)
    facts = {keyword: _number(data, keyword, first.name) for keyword in _NUMBERS}
    found: dict[str, str] = {key: f"{value:.9g}" for key, value in facts.items() if value is not None}
    words = {key: _text(data, key, first.name) for key in _WORDS}
    found |= {key: word for key, word in words.items() if re.fullmatch(_WORDS[key], word)}
    drug = _drug(data, first.name)
    if drug is not None:
        doses = {keyword: _number(drug, keyword, first.name) for keyword in _DOSE}
        found |= {key: f"{value:.9g}" for key, value in doses.items() if value is not None}
    for key, offset in (("PhilipsSUVScale", 0x00), ("PhilipsActivityScale", 0x09)):
        scale = _private_number(data, *_PHILIPS, offset)
        if scale:
            found[key] = f"{scale:.9g}"
    try:
        found |= _interval(headers, data, drug, float(found.get("RadionuclideHalfLife", "0")))
    except (OverflowError, ZeroDivisionError):
        pass  # a time or duration that no calendar holds
    return found


def _interval(headers: Sequence[Header], data: Any, drug: Any, half_life: float) -> dict[str, str]:
    """Return ``DecaySeconds`` and ``DecayReference``, as far as they are known."""
    name = headers[0].name
    corrected = _text(data, "DecayCorrection", name) != "NONE"
    reference, source = _scan_start(headers, data, half_life) if corrected else _measured(headers, data, half_life)
    found = {"DecayReference": source} if source else {}
    injected = None if reference is None or drug is None else _injected(drug, reference, name)
    if reference is not None and injected is not None:
        found["DecaySeconds"] = f"{(reference - injected).total_seconds():.9g}"
    return found


def _drug(data: Any, name: str) -> Any:
    """Return the first item of the radiopharmaceutical sequence; None if there is none, or it is no sequence."""
    try:
        items = value_of(data, _DRUG, name)
        return items[0] if items is not None and hasattr(items[0], "private_block") else None
    except (InputError, TypeError, IndexError):
        return None


def _scan_start(headers: Sequence[Header], data: Any, half_life: float) -> tuple[datetime | None, str]:
    """Return when the scan started and what says so."""
    name = headers[0].name
    series = _moment(_text(data, "SeriesDate", name), _text(data, "SeriesTime", name))
    starts = [start for start in map(_acquired, headers) if start is not None]
    earliest = min(starts, default=None)
    if series is not None and (earliest is None or series <= earliest):
        return series, "SeriesTime"
    if earliest is None:
        return None, ""
    # The series' time is that of a later reconstruction.
    private = _private(data, *_GE, 0x0D)
    scanned = _date_time(private) if isinstance(private, str) else None
    if scanned is not None and scanned <= earliest:
        return scanned, "GE scan date and time"
    offset, own = _number(data, "FrameReferenceTime", name), _acquired(headers[0])
    average = _average(data, half_life, name)
    if offset and offset > 0 and average is not None and own is not None:
        return own - timedelta(milliseconds=offset) + timedelta(seconds=average), "FrameReferenceTime"
    return earliest, "AcquisitionTime"


def _measured(headers: Sequence[Header], data: Any, half_life: float) -> tuple[datetime | None, str]:
    """Return the one time at which all slices were measured: the average count rate's, within the frame."""
    starts = {_acquired(header) for header in headers}
    start = starts.pop() if len(starts) == 1 else None
    if start is None:
        return None, "slices measured at different times" if starts else ""
    average = _average(data, half_life, headers[0].name) or 0.0
    return start + timedelta(seconds=average), "AcquisitionTime"


def _average(data: Any, half_life: float, name: str) -> float | None:
    """Return seconds from a frame's start to its average count rate (DICOM PS3.3, C.8.9.4.1.5, example 2)."""
    duration = _number(data, "ActualFrameDuration", name)
    if not duration or duration <= 0 or half_life <= 0:
        return None
    decay = math.log(2) / half_life
    share = decay * duration / 1000
    return math.log(share / -math.expm1(-share)) / decay


def _injected(drug: Any, reference: datetime, name: str) -> datetime | None:
    """Return the time of injection; a time of day without a date is the last such time before ``reference``."""
    whole = _date_time(_text(drug, "RadiopharmaceuticalStartDateTime", name))
    if whole is not None:
        return whole
    moment = _moment(reference.strftime("%Y%m%d"), _text(drug, "RadiopharmaceuticalStartTime", name))
    if moment is None:
        return None
    return moment if moment <= reference else moment - timedelta(days=1)


def _acquired(header: Header) -> datetime | None:
    name = header.name
    return _moment(_text(header.dataset, "AcquisitionDate", name), _text(header.dataset, "AcquisitionTime", name))


def _date_time(value: str) -> datetime | None:
    """Parse a DICOM DT; its offset from UTC is not looked at, because the other times carry none."""
    match = re.fullmatch(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)(?:[+-]\d{4})?", value)
    return _moment(match.group(1), match.group(2)) if match else None


def _moment(date: str, time: str) -> datetime | None:
    """Return a DICOM DA and TM as one; None if either is missing or impossible."""
    match = re.fullmatch(r"(\d{2})(\d{2})?(\d{2})?(\.\d{1,6})?", time.replace(":", ""))
    if not re.fullmatch(r"\d{8}", date) or match is None:
        return None
    hours, minutes, seconds = (int(match.group(n) or 0) for n in (1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    try:
        day = datetime.strptime(date, "%Y%m%d")
    except ValueError:
        return None
    return day + timedelta(hours=hours, minutes=minutes, seconds=seconds + float(match.group(4) or 0))


def _text(data: Any, keyword: str, name: str) -> str:
    try:
        return text(data, keyword, name)
    except InputError:
        return ""


def _number(data: Any, keyword: str, name: str) -> float | None:
    try:
        return decimal(data, keyword, name)
    except InputError:
        return None


def _private(data: Any, group: int, creator: str, offset: int) -> Any:
    """Return a private attribute's value; text that was stored without its type is decoded."""
    try:
        value = data.private_block(group, creator)[offset].value
    except Exception:  # not there, or damaged; pydicom raises many kinds
        return None
    return value.decode("ascii", "replace").strip("\0 ") if isinstance(value, bytes) else value


def _private_number(data: Any, group: int, creator: str, offset: int) -> float | None:
    try:
        value = float(_private(data, group, creator, offset))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value > 0 else None
