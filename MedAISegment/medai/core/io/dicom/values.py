"""Strict access to DICOM attributes: a wrong type or a number that is none is refused, never guessed."""

from __future__ import annotations

import math
from typing import Any

from medai.core.errors import InputError

from .quiet import quiet_pydicom

MAX_TEXT = 64


def value_of(dataset: Any, keyword: str, name: str) -> Any:
    """Return the value of an attribute, None if it is absent or empty.

    Raises
    ------
    InputError
        If its bytes cannot be read as its value representation.
    """
    try:
        if keyword not in dataset:
            return None
        # a raw element is converted here, and pydicom's warnings would quote it
        with quiet_pydicom():
            value = dataset[keyword].value
    except Exception:  # pydicom raises many kinds for damaged elements; all mean the same here
        raise InputError(
            f"The DICOM attribute {keyword} of {name!r} cannot be read.", hint="The file is damaged."
        ) from None
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return None
    return value


def decimals(dataset: Any, keyword: str, count: int, name: str) -> list[float] | None:
    """Return ``count`` finite numbers, None if the attribute is absent.

    Raises
    ------
    InputError
        If there is another number of them, or one is no finite number.
    """
    value = value_of(dataset, keyword, name)
    if value is None:
        return None
    items = [value] if isinstance(value, (str, int, float)) or not hasattr(value, "__iter__") else list(value)
    try:
        found = [float(item) for item in items]
    except (TypeError, ValueError):
        found = []
    if len(found) != count or not all(math.isfinite(item) for item in found):
        raise InputError(
            f"The DICOM attribute {keyword} of {name!r} needs {count} finite number{'s' if count > 1 else ''}.",
            hint="The header is damaged; repair it or export the image again.",
        )
    return found


def decimal(dataset: Any, keyword: str, name: str) -> float | None:
    """Return one finite number, None if the attribute is absent; see :func:`decimals`."""
    found = decimals(dataset, keyword, 1, name)
    return None if found is None else found[0]


def whole(dataset: Any, keyword: str, name: str, low: int, high: int) -> int | None:
    """Return one whole number from ``low`` to ``high``, None if the attribute is absent.

    Raises
    ------
    InputError
        If it is text, a fraction, several numbers or out of range.
    """
    value = value_of(dataset, keyword, name)
    if value is None:
        return None
    # IS values are int subclasses in pydicom; text here means a wrong value representation
    if not isinstance(value, int) or not low <= int(value) <= high:
        raise InputError(
            f"The DICOM attribute {keyword} of {name!r} needs a whole number from {low} to {high}.",
            hint="The header is damaged; export the image again.",
        )
    return int(value)


def text(dataset: Any, keyword: str, name: str) -> str:
    """Return short printable text, several values joined by a backslash; empty if absent."""
    value = value_of(dataset, keyword, name)
    if value is None:
        return ""
    many = not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")
    joined = "\\".join(str(item) for item in value) if many else str(value)
    return "".join(c for c in joined if c.isprintable()).strip()[:MAX_TEXT]
