"""Frozen, validated settings: one dict for the panel, the command line, the cluster and the report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import SettingsError

S = TypeVar("S", bound="Settings")
MAX_DEPTH = 20
MAX_SETTINGS_BYTES = 4 * 1024 * 1024


class Settings(BaseModel):
    """Base of every step's settings.

    Unknown keys, wrong types, NaN and infinity are refused; a value is never changed after validation.
    ``model_json_schema()`` gives the JSON schema, with units and ranges from each ``Field``.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, strict=False, use_enum_values=True
    )

    @classmethod
    def parse(cls: type[S], data: Any, *, where: str = "") -> S:
        """Validate plain values.

        Parameters
        ----------
        data : dict, Settings or None
            The values; None means all defaults.
        where : str
            Prefix of the key's path in error messages, for example ``steps[2].settings``.

        Raises
        ------
        SettingsError
            With the path of every offending key.
        """
        if isinstance(data, cls):
            return data
        if isinstance(data, Settings):
            data = data.to_dict()
        _refuse_deep(data, where)
        try:
            return cls.model_validate({} if data is None else data)
        except ValidationError as error:
            raise SettingsError(_explain(error, where or cls.__name__), hint="Correct the named keys.") from None

    @classmethod
    def from_json(cls: type[S], text: str, *, where: str = "") -> S:
        """Validate JSON text; see :meth:`parse`."""
        return cls.parse(load_json(text, where=where or cls.__name__), where=where)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values, defaults included."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 of the normalised settings, the same on every machine."""
        return digest_json(self.to_dict())


def digest_json(value: Any) -> str:
    """SHA-256 of a JSON value written with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def load_json(text: str, *, where: str = "settings") -> Any:
    """Parse JSON strictly: no NaN, no duplicate keys, bounded size and depth.

    Raises
    ------
    SettingsError
        If the text is not such JSON.
    """

    if len(text) > MAX_SETTINGS_BYTES:
        raise SettingsError(f"{where}: the JSON text has {len(text)} characters, at most {MAX_SETTINGS_BYTES} are read.")

    def no_constant(name: str) -> Any:
        raise SettingsError(f"{where}: the value {name} is not allowed.", hint="Use a finite number.")

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise SettingsError(f"{where}: the key {key!r} appears twice.", hint="Keep one of them.")
            seen[key] = value
        return seen

    try:
        value = json.loads(text, parse_constant=no_constant, object_pairs_hook=no_duplicates)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{where}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except RecursionError:
        raise SettingsError(f"{where}: nested more than {MAX_DEPTH} levels deep.") from None
    _refuse_deep(value, where)
    return value


def load_json_file(path: str | Path, *, where: str = "") -> Any:
    """Read a JSON file strictly; see :func:`load_json`."""
    file = Path(path)
    label = where or file.name
    try:
        if file.stat().st_size > MAX_SETTINGS_BYTES:
            raise SettingsError(f"{label}: the file is larger than {MAX_SETTINGS_BYTES} bytes.")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{label}: cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{label}: not UTF-8 text.") from None
    return load_json(text, where=label)


def _refuse_deep(value: Any, where: str) -> None:
    stack = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise SettingsError(f"{where or 'settings'}: nested more than {MAX_DEPTH} levels deep.")
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend((child, depth + 1) for child in item)


def _explain(error: ValidationError, where: str) -> str:
    parts = []
    for item in error.errors()[:5]:
        path = where
        for key in item["loc"]:
            path += f"[{key}]" if isinstance(key, int) else f".{key}"
        given = "" if item["type"] == "extra_forbidden" or isinstance(item["input"], dict) else f" (given: {item['input']!r:.60})"
        reason = "unknown key" if item["type"] == "extra_forbidden" else item["msg"][0].lower() + item["msg"][1:]
        parts.append(f"{path}: {reason}{given}")
    more = error.error_count() - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "") + "."
