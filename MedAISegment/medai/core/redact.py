"""Text of unexpected errors for a log, without paths, file names or values that could name a patient."""

from __future__ import annotations

import linecache
import re
import traceback

_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`")
_PATH_OR_NAME = re.compile(r"\S*[\\/^]\S*")
_SOURCE = re.compile(r"[\\/](\w+\.py)['\"`]$")
_IDENTIFIER = re.compile(r"['\"`][A-Za-z_]\w*(\.[A-Za-z_]\w*)*['\"`]")


def redact(text: str, *, keep_identifiers: bool = False) -> str:
    """Take values and paths out of a text.

    Quoted text becomes ``'...'``, the path of a Python file its name, and every other word with a slash, a backslash or
    a caret ``...``.  Library messages quote the values and paths that they stumbled over, and those may be a patient's.

    Parameters
    ----------
    text : str
        For example the text of an exception.
    keep_identifiers : bool
        Keep quoted words that look like Python names; only for texts written before any patient data was loaded.
    """

    def replaced(match: re.Match[str]) -> str:
        quoted = match.group()
        if keep_identifiers and _IDENTIFIER.fullmatch(quoted):
            return quoted
        source = _SOURCE.search(quoted)
        return f"'{source.group(1)}'" if source else "'...'"

    return _PATH_OR_NAME.sub("...", _QUOTED.sub(replaced, text))


def traceback_text(error: BaseException) -> str:
    """Return a traceback for the log: modules, line numbers and source lines, no file paths and no values."""
    lines = []
    for frame, number in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
        lines.append(f"  {frame.f_globals.get('__name__', '?')}:{number} in {code.co_name}: {source}")
    return "\n".join(["Traceback:", *lines, f"{type(error).__name__}: {redact(str(error))}"])
