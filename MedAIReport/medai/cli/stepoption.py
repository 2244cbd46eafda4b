"""Steps written on the command line: ``median:radius=2`` or ``threshold:method=manual,lower=-300,name=Body``."""

from __future__ import annotations

import json
from typing import Any


def parse_steps(texts: list[str]) -> list[dict[str, Any]]:
    """Return pipeline steps from ``NAME`` or ``NAME:key=value,key=value`` texts.

    A value is JSON if it can be read as JSON, otherwise text; several values are written ``key=[1,2,3]``.

    Raises
    ------
    SettingsError
        If a part is not ``key=value``, a key is given twice, or a value holds NaN or is nested too deep.
    """
    from medai.core.errors import SettingsError

    steps = []
    for text in texts:
        name, _, rest = text.partition(":")
        settings: dict[str, Any] = {}
        for part in _split(rest):
            key, equals, value = part.partition("=")
            key = key.strip()
            if not equals or not key or key in settings:
                raise SettingsError(
                    f"The step {text!r} cannot be read at {part!r}.", hint="Write it as median:radius=2."
                )
            settings[key] = _value(value.strip(), f"{name.strip()}.{key}")
        steps.append({"step": name.strip(), "settings": settings})
    return steps


def _split(text: str) -> list[str]:
    """Split at commas that are in no bracket and no quotation marks."""
    parts, depth, quoted, start = [], 0, False, 0
    for place, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "[{":
            depth += 1
        elif not quoted and character in "]}":
            depth -= 1
        elif character == "," and depth == 0 and not quoted:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def _value(text: str, where: str) -> Any:
    from medai.core.settings import load_json

    try:
        json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        pass  # refused below
    return load_json(text, where=where)
