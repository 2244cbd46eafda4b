"""Which images of a folder belong together, and which of several candidates the caller wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medai.core.errors import AmbiguousInput, InputError, UnsupportedInput
from medai.core.geometry import FloatArray

from .header import SPLIT_KEYWORDS, Header
from .placement import SAME_POSITION_MM, along_normal
from .planes import Plane, planes_of

SAME_AXES = 1e-2
"""Images of one stack may differ by this in any direction cosine."""
LISTED = 12
_NOT_VOLUMES = {
    "SEG": "a DICOM segmentation, not an image",
    "RTDOSE": "a dose grid, not an image",
    "PR": "a presentation state, not an image",
}


@dataclass(frozen=True)
class SeriesInfo:
    """One candidate that a folder offers.

    Parameters
    ----------
    uid : str
        What to pass as ``series_uid``: the Series Instance UID, with ``#n`` behind it where one series holds several
        stacks (a localiser, echoes, phases).
    modality : str
        DICOM modality.
    description : str
        Series description as recorded, and what tells this stack from the others.  May hold what a person typed.
    count : int
        Number of frames.
    shape : tuple of int
        (K, J, I); K is 1 for images without a common stack.
    """

    uid: str
    modality: str
    description: str
    count: int
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Series:
    """Frames that form one stack.

    Parameters
    ----------
    uid : str
        See :class:`SeriesInfo`.
    planes : tuple of Plane
        In no particular order.
    trait : str
        What tells this stack from others of the series, for example ``EchoTime 4.9``.
    """

    uid: str
    planes: tuple[Plane, ...] = field(repr=False)
    trait: str = ""

    @property
    def header(self) -> Header:
        """Header of the first frame."""
        return self.planes[0].header

    @property
    def placed(self) -> bool:
        """True if every frame has a position and an orientation."""
        return all(p.position is not None for p in self.planes)

    def info(self) -> SeriesInfo:
        """Return what a person needs to choose."""
        head, count = self.header, len(self.planes)
        described = " ".join(filter(None, (head.text("SeriesDescription"), f"({self.trait})" if self.trait else "")))
        depth = count if self.placed else 1
        return SeriesInfo(self.uid, head.modality, described, count, (depth, head.rows, head.columns))

    def line(self) -> str:
        """Return one line for an error message; free text of the header is left out, it may name a person."""
        head = self.header
        trait = f", {self.trait}" if self.trait else ""
        size = f"{len(self.planes)} x {head.columns} x {head.rows}"
        return f"{self.uid or '(no UID)'}: {head.modality or '?'}, {size}{trait}"


def series_of(headers: Sequence[Header]) -> list[Series]:
    """Group image files into stacks, ordered by series UID."""
    by_uid: dict[str, list[Header]] = {}
    for header in headers:
        if header.modality not in _NOT_VOLUMES:
            by_uid.setdefault(header.series, []).append(header)
    found: list[Series] = []
    for uid in sorted(by_uid):
        stacks: list[tuple[str, list[Plane]]] = []
        for stack in _stacks(by_uid[uid]):
            stacks.extend(_split_repeats(stack))
        single = len(stacks) == 1
        for number, (trait, stack) in enumerate(stacks, start=1):
            found.append(
                Series(uid if single else f"{uid}#{number}", tuple(stack), trait or ("" if single else _kind(stack)))
            )
    return found


def choose(found: Sequence[Series], series_uid: str | None, name: str) -> Series:
    """Return the stack that the caller asked for, or the only one.

    Raises
    ------
    AmbiguousInput
        If there are several and none was chosen; the message lists them.
    InputError
        If there is none, or none of that UID.
    """
    if not found:
        raise InputError(f"{name!r} holds no DICOM images.", hint="Give the folder that holds the image files.")
    fitting = list(found)
    if series_uid is not None:
        fitting = [s for s in found if s.uid == series_uid] or [s for s in found if s.uid.split("#")[0] == series_uid]
        if not fitting:
            raise InputError(f"{name!r} holds no series {series_uid[:70]!r}.", hint=_listed(found))
    if len(fitting) > 1:
        raise AmbiguousInput(
            f"{name!r} holds {len(fitting)} image series, one is needed.",
            hint=f"Choose a series by its UID. {_listed(fitting)}",
        )
    return fitting[0]


def refuse_other_kinds(header: Header) -> None:
    """Raise :class:`UnsupportedInput` for objects that carry pixels but are no images."""
    if header.modality in _NOT_VOLUMES:
        raise UnsupportedInput(f"{header.name!r} is {_NOT_VOLUMES[header.modality]}.", hint="Give the image series.")


def _listed(found: Sequence[Series]) -> str:
    lines = [s.line() for s in found[:LISTED]]
    more = len(found) - len(lines)
    return "Found: " + "; ".join(lines) + (f"; and {more} more." if more > 0 else ".")


def _stacks(headers: Sequence[Header]) -> list[list[Plane]]:
    """Group by size, kind and orientation; a multi-frame file, and an image without position, stands alone."""
    stacks: list[list[Plane]] = []
    keys: list[tuple[object, FloatArray | None]] = []
    for header in headers:
        planes = planes_of(header)
        axes = planes[0].axes
        key = (
            (header.rows, header.columns, header.samples, "LOCALIZER" in header.text("ImageType").upper())
            if header.frames == 1 and axes is not None
            else (header.path,)
        )
        for number, (other, reference) in enumerate(keys):
            if key == other and (axes is None or reference is None or np.abs(axes - reference).max() <= SAME_AXES):
                stacks[number].extend(planes)
                break
        else:
            keys.append((key, axes))
            stacks.append(planes)
    return stacks


def _kind(stack: Sequence[Plane]) -> str:
    plane = stack[0]
    if "LOCALIZER" in plane.header.text("ImageType").upper():
        return "localiser"
    if plane.axes is None:
        return f"instance {plane.header.text('InstanceNumber') or '?'}"
    normal = np.abs(np.cross(plane.axes[:, 0], plane.axes[:, 1]))
    return ("sagittal", "coronal", "axial")[int(normal.argmax())]


def _repeats(stack: Sequence[Plane]) -> int:
    """Return the largest number of planes at one position."""
    distances = np.sort(along_normal(stack))
    groups = np.split(distances, np.flatnonzero(np.diff(distances) >= SAME_POSITION_MM) + 1)
    return max(len(group) for group in groups)


def _split_repeats(stack: list[Plane]) -> list[tuple[str, list[Plane]]]:
    if any(p.position is None for p in stack) or len(stack) == 1:
        return [("", stack)]
    many = _repeats(stack)
    if many == 1:
        return [("", stack)]
    for keyword in SPLIT_KEYWORDS:
        parts: dict[str, list[Plane]] = {}
        for plane in stack:
            parts.setdefault(plane.header.text(keyword), []).append(plane)
        if len(parts) == many and all(_repeats(part) == 1 for part in parts.values()):
            return [(f"{keyword} {value or 'absent'}", parts[value]) for value in sorted(parts)]
    return [("", stack)]  # repeats that nothing tells apart are refused when the stack is read


def folder_label(folder: Path) -> str:
    """Return a folder's name for messages."""
    return folder.name or "folder"
