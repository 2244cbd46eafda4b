"""Small helpers for text headers (NRRD, MetaImage): numbers, sizes, and data files that must stay in their folder."""

from __future__ import annotations

import math
from pathlib import Path

from medai.core.errors import InputError


def numbers(text: str, count: int | None, key: str, name: str) -> list[float]:
    """Return the numbers of a header line.

    Raises
    ------
    InputError
        If there are not ``count`` of them (any number if None), or one is no finite number.
    """
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = [math.nan]
    if (count is not None and len(values) != count) or not all(math.isfinite(v) for v in values):
        needed = "" if count is None else f"{count} "
        raise InputError(
            f"The header line {key!r} of {name!r} needs {needed}finite numbers, given {text[:60]!r}.",
            hint="The header is damaged.",
        )
    return values


def whole_numbers(text: str, count: int | None, key: str, name: str) -> list[int]:
    """Return the whole numbers of a header line; see :func:`numbers`."""
    values = numbers(text, count, key, name)
    if any(v != int(v) for v in values):
        raise InputError(f"The header line {key!r} of {name!r} needs whole numbers, given {text[:60]!r}.")
    return [int(v) for v in values]


def data_file(header: Path, text: str) -> Path:
    """Return the path of a detached data file, which must lie in the header's folder or below it.

    Raises
    ------
    InputError
        If it points outside, so that a header cannot make us read another file of this machine.
    """
    folder = header.parent.resolve()
    try:
        target = (folder / text).resolve()
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"The data file that {header.name!r} names is not a valid file name.") from None
    if Path(text).is_absolute() or "\\" in text or not target.is_relative_to(folder) or target == folder:
        raise InputError(
            f"The header {header.name!r} points to a data file outside its own folder.",
            hint="Put the data file beside the header; other places are not opened.",
            code="OUTSIDE_FOLDER",
        )
    return target
