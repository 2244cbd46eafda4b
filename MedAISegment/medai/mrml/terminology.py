"""DICOM codes of a segment to the text that Slicer keeps in the segment's terminology tag, and back.

Slicer joins the parts with ``~`` and ``^`` and has no way to escape them; a segmentation file also splits tags at
``|``.  In meanings these signs become spaces; in code values and schemes they are refused.
"""

from __future__ import annotations

from typing import Any

from ..core.errors import InputError
from ..core.labelmap import Code, Segment
from ._slicer import slicer, vtk
from .texts import storable_line

CONTEXT = "Segmentation category and type - DICOM master list"
REGION_CONTEXT = "Anatomic codes - DICOM master list"
_RESERVED = "^~|"


def serialise(segment: Segment) -> str:
    """Return the terminology tag of a segment, empty if it has no codes.

    Raises
    ------
    InputError
        If a code value or scheme holds ``^``, ``~`` or ``|``, or category or type is missing: Slicer reads neither.
    """
    if segment.category is None and segment.type is None and segment.modifier is None:
        return ""
    if segment.category is None or segment.type is None:
        raise InputError(
            f"The segment with label {segment.label} has only a part of its DICOM codes; category and type are needed.",
            hint="Give the segment both codes, or none.",
        )
    parts: list[str] = []
    for code in (segment.category, segment.type, segment.modifier):
        parts.extend(_parts(code, segment.label))
    nothing = [""] * 6
    text = slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(CONTEXT, *parts, REGION_CONTEXT, *nothing)
    return str(text)


def parse(tag: str) -> tuple[Code | None, Code | None, Code | None]:
    """Return (category, type, modifier) of a terminology tag; ``None`` for a part that is empty or cannot be read."""
    entry = slicer.vtkSlicerTerminologyEntry()
    if not tag or not slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(tag, entry):
        return None, None, None
    return _code(entry.GetCategoryObject()), _code(entry.GetTypeObject()), _code(entry.GetTypeModifierObject())


def set_tag(vtk_segment: Any, segment: Segment) -> None:
    """Write a segment's codes to a ``vtkSegment``; without codes Slicer's own placeholder ("Tissue") stays."""
    text = serialise(segment)
    if text:
        vtk_segment.SetTag(vtk_segment.GetTerminologyEntryTagName(), text)


def get_tag(vtk_segment: Any) -> str:
    """Return the terminology tag of a ``vtkSegment``, empty if it has none or only Slicer's placeholder."""
    text = _tag(vtk_segment)
    return "" if text == _tag(slicer.vtkSegment()) else text


def _tag(vtk_segment: Any) -> str:
    value = vtk.reference("")
    return str(value) if vtk_segment.GetTag(vtk_segment.GetTerminologyEntryTagName(), value) else ""


def _parts(code: Code | None, label: int) -> tuple[str, str, str]:
    if code is None:
        return "", "", ""
    if any(sign in code.value + code.scheme for sign in _RESERVED):
        raise InputError(
            f"A code of the segment with label {label} holds one of the signs {_RESERVED}, which none may."
        )
    meaning = storable_line(code.meaning)
    for sign in _RESERVED:
        meaning = meaning.replace(sign, " ")
    return storable_line(code.value), storable_line(code.scheme), meaning


def _code(entry: Any) -> Code | None:
    value = entry.GetCodeValue() if entry is not None else None
    return Code(value, entry.GetCodingSchemeDesignator() or "", entry.GetCodeMeaning() or "") if value else None
