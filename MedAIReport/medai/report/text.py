"""Text that comes from outside, made safe to show: no control characters, no folders, no number that JSON lacks."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue

MAX_TEXT = 4000
_SPACES = re.compile(r"[\s\u2028\u2029\x85]+")
# Bidirectional overrides can make a name read differently from what it is.
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WHOLE_PATH = re.compile(r"(?:file:)?(?:/[^\s/]|~[\w.-]*[\\/]|[A-Za-z]:[\\/]|\\\\)")
# Folders may hold blanks, and where such a path ends inside a sentence nobody knows: rather too much is dropped.
_PATH_INSIDE = re.compile(r"(?<![\w:/.])(?:file://|~|[A-Za-z]:)?(?:[\\/][^\\/'\"<>|:,;)]+)+[\\/][^\s\\/'\"<>|:,;)]+")


def clean_text(value: Any) -> str:
    """Return text in one line without control characters, bidirectional overrides or lone surrogates.

    Parameters
    ----------
    value : str
        Anything else is refused; longer texts than :data:`MAX_TEXT` characters are cut, with an ellipsis.
    """
    if not isinstance(value, str):
        raise ValueError(f"text is needed, given {type(value).__name__}")
    # Far beyond what is kept, nothing is looked at.
    text = value[: 4 * MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
    text = _BIDI.sub("", _SPACES.sub(" ", text))
    text = "".join("\ufffd" if _unprintable(c) else c for c in text).strip()
    fits = len(text) <= MAX_TEXT and len(value) <= 4 * MAX_TEXT
    return text if fits else text[: MAX_TEXT - 1] + "…"


def _unprintable(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs") or (ord(char) & 0xFFFE) == 0xFFFE


def without_folders(text: str) -> str:
    """Return text in which every absolute path is cut to its file's name: folders often carry names of people."""
    if _WHOLE_PATH.match(text):
        return re.split(r"[\\/]", text)[-1] or "…"
    return _PATH_INSIDE.sub(lambda match: re.split(r"[\\/]", match.group())[-1], text)


def clean_json(value: Any) -> Any:
    """Return a JSON value with clean texts and keys, no folders, and text in place of NaN and infinity."""
    if isinstance(value, dict):
        return {without_folders(clean_text(str(key))): clean_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_json(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return without_folders(clean_text(value if isinstance(value, str) else str(value)))


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return the leaves of a JSON value as (path of keys, text), in order; for showing settings."""
    if isinstance(value, dict) and value:
        return [row for key, item in value.items() for row in flatten(item, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return [row for index, item in enumerate(value) for row in flatten(item, f"{prefix}[{index}]")]
    return [(prefix, _leaf(value))]


def _leaf(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return ", ".join(_leaf(item) for item in value) or "none"
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, ".10g") if isinstance(value, float) else str(value)


Text = Annotated[str, BeforeValidator(clean_text)]
"""One line of clean text."""
JsonTree = Annotated[dict[str, JsonValue], BeforeValidator(clean_json)]
"""A JSON object with clean texts."""
