"""What the stand-in remembers of a test: windows shown, files asked for, packages wanted, slots that raised."""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from medai_host.errors import NotInHost


@dataclass(frozen=True)
class Box:
    """One message box as a person would have seen it."""

    kind: str  # "information", "warning", "error", "question" or "plain"
    title: str
    text: str
    informative: str = ""
    details: str = ""
    answer: str = ""


@dataclass(frozen=True)
class FileDialog:
    """One file dialog: which method, caption, start folder, filter, and what it gave back."""

    method: str
    caption: str
    directory: str
    filter: str
    answer: Any


@dataclass(frozen=True)
class PackageRequest:
    """One call of `slicer.packaging`: what was asked and what of it this Python lacks."""

    function: str
    requirements: tuple[str, ...]
    missing: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass
class Recorder:
    """The record of one test; `clear` starts the next."""

    boxes: list[Box] = field(default_factory=list)
    file_dialogs: list[FileDialog] = field(default_factory=list)
    packages: list[PackageRequest] = field(default_factory=list)
    opened_urls: list[str] = field(default_factory=list)
    status_messages: list[str] = field(default_factory=list)
    qt_messages: list[str] = field(default_factory=list)
    slot_errors: list[BaseException] = field(default_factory=list)
    box_answers: deque[Any] = field(default_factory=deque)
    file_answers: deque[Any] = field(default_factory=deque)
    # True, as in a test run of Slicer: message boxes are then only logged. `shown_errors` switches it off for a test.
    testing: bool = True

    def clear(self) -> None:
        """Forget everything."""
        fresh = Recorder()
        self.__dict__.update(fresh.__dict__)

    @property
    def errors(self) -> list[Box]:
        """The boxes with the error icon."""
        return [box for box in self.boxes if box.kind == "error"]

    def unshown_slot_errors(self) -> list[BaseException]:
        """Exceptions that left a slot or an observer and that no error box told the user about."""
        shown = "\n".join(box.text for box in self.errors)
        return [e for e in self.slot_errors if isinstance(e, NotInHost) or not str(e) or str(e) not in shown]


RECORD = Recorder()


def record_slot_error(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    """Replacement of sys.excepthook, where Qt slots and VTK observers report their exceptions."""
    RECORD.slot_errors.append(value)
    traceback.print_exception(kind, value, trace, file=sys.stderr)
