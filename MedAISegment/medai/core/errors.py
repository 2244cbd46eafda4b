"""The one error tree of MedAI.

The library raises; it never shows anything.  Every message is one plain sentence that says what went wrong,
where, what was expected against what was given; ``hint`` says what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping


class MedAIError(Exception):
    """Base of every error that MedAI raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what, where, expected against given.  Never contains patient data.
    hint : str, optional
        What the user can do about it.
    code : str, optional
        Stable machine-readable code; the class' own ``code`` if not given.
    """

    code = "MEDAI"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def to_dict(self) -> dict[str, str]:
        """Return the error as JSON-ready text fields (``type``, ``code``, ``message``, ``hint``)."""
        return {"type": type(self).__name__, "code": self.code, "message": self.message, "hint": self.hint}


class SettingsError(MedAIError):
    """A setting is unknown, of the wrong type or out of range; the message names the key's path."""

    code = "SETTINGS"


class GeometryError(MedAIError):
    """A grid is impossible (singular, zero spacing) or two grids do not match."""

    code = "GEOMETRY"


class InputError(MedAIError):
    """An input file or value cannot be used as it is."""

    code = "INPUT"


class TruncatedFile(InputError):
    """A file ends before the data that its header promises, or its checksum does not match."""

    code = "TRUNCATED"


class UnsupportedInput(InputError):
    """A valid input of a kind this operation cannot take (colour, 4D, an unknown codec)."""

    code = "UNSUPPORTED"


class AmbiguousInput(InputError):
    """The input holds several candidates (series, frames) and the caller must choose one."""

    code = "AMBIGUOUS"


class OutputError(MedAIError):
    """A result cannot be written where it was asked for; nothing was changed there."""

    code = "OUTPUT"


class ModelError(MedAIError):
    """A model folder cannot be used."""

    code = "MODEL"


class ManifestError(ModelError):
    """A model's manifest is missing, malformed or does not fit its files."""

    code = "MANIFEST"


class ChecksumError(ModelError):
    """A model file's SHA-256 differs from its manifest."""

    code = "CHECKSUM"


class UnsafeModel(ModelError):
    """A model file could execute code when loaded."""

    code = "UNSAFE_MODEL"


class DeviceError(MedAIError):
    """A compute device is missing or failed."""

    code = "DEVICE"


class OutOfMemory(DeviceError):
    """Neither the device nor its fall-backs had enough memory."""

    code = "OUT_OF_MEMORY"


class WorkerError(MedAIError):
    """The worker process ended or broke the protocol; the caller's data is untouched."""

    code = "WORKER"


class DependencyError(MedAIError):
    """A third-party package is missing or too old."""

    code = "DEPENDENCY"


class SceneError(MedAIError):
    """An MRML node or scene cannot be used as asked."""

    code = "SCENE"


class ReportError(MedAIError):
    """A report cannot be built or rendered."""

    code = "REPORT"


class Cancelled(Exception):
    """The user asked to stop.  Not a MedAIError: nothing went wrong."""


def error_from_dict(data: Mapping[str, object]) -> MedAIError:
    """Rebuild an error that :meth:`MedAIError.to_dict` wrote, for example on the other side of a process.

    Parameters
    ----------
    data : dict
        Fields ``type``, ``code``, ``message``, ``hint``.  An unknown ``type`` gives a plain :class:`MedAIError`, and a
        field that is missing or no text counts as empty: this runs while something already goes wrong.
    """
    text = {key: value for key, value in data.items() if isinstance(value, str)}
    known = {cls.__name__: cls for cls in _all_subclasses(MedAIError)}
    cls = known.get(text.get("type", ""), MedAIError)
    return cls(text.get("message") or "Unknown error.", hint=text.get("hint", ""), code=text.get("code", ""))


def _all_subclasses(cls: type[MedAIError]) -> list[type[MedAIError]]:
    found = [cls]
    for child in cls.__subclasses__():
        found.extend(_all_subclasses(child))
    return found
