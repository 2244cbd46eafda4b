"""Frozen, validated settings: one dict for the panel, the command line, the cluster and the report."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import SettingsError

S = TypeVar("S", bound="Settings")
MAX_DEPTH = 20
MAX_SETTINGS_BYTES = 4 * 1024 * 1024


class Settings(BaseModel):
    """Base of every step's settings.

    Unknown keys, wrong types, NaN and infinity are refused; a value is never changed after validation.  What comes
    through :meth:`parse` is taken as JSON and strictly: the text ``"2"`` or ``true`` is no number, 2.0 no whole number.
    Use tuples, not lists, for fields with several values, so that nobody can change them.
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
            The values; None means all defaults.  Tuples, paths, enums and numpy scalars are taken as their JSON form.
        where : str
            Prefix of the key's path in error messages, for example ``steps[2].settings``.

        Raises
        ------
        SettingsError
            With the path of every offending key.
        """
        if isinstance(data, cls):
            return data
        label = where or cls.__name__
        values = plain_json({} if data is None else data, where=label)
        try:
            return _validate(cls, values)
        except ValidationError as error:
            raise SettingsError(_explain(error, label), hint="Correct the named keys.") from None

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


def _validate(cls: type[S], values: Any) -> S:
    try:
        # The JSON mode is the one in which strict means what a reader of JSON expects: lists fill tuples, text fills
        # enums and paths, and nothing else is converted.
        return cls.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        if not all(_is_default(item["input"]) for item in error.errors()):
            raise
    return cls.model_validate(values)


def _is_default(value: Any) -> bool:
    # A default that is no JSON value, such as a path, fails in JSON mode although nobody gave it.
    return isinstance(value, (os.PathLike, Enum))


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
        raise SettingsError(
            f"{where}: the JSON text has {len(text)} characters, at most {MAX_SETTINGS_BYTES} are read."
        )

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
        value = json.loads(text.removeprefix("\ufeff"), parse_constant=no_constant, object_pairs_hook=no_duplicates)
    except json.JSONDecodeError as error:
        raise SettingsError(
            f"{where}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except RecursionError:
        raise SettingsError(f"{where}: nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError:
        raise SettingsError(f"{where}: a number has thousands of digits.", hint="Use an ordinary number.") from None
    return plain_json(value, where=where)


def plain_json(value: Any, *, where: str = "settings") -> Any:
    """Return a copy of ``value`` as plain JSON: dict, list, str, bool, int, finite float, None.

    Tuples become lists, and enums, paths, numpy numbers and pydantic models their JSON form, so that settings are the
    same whether they stay in this process or go to another one.

    Raises
    ------
    SettingsError
        For NaN, infinity, keys that are not text, broken text, other types, or more than :data:`MAX_DEPTH` levels;
        the message names the key's path.
    """
    return _plain(value, where, 1)


def _plain(value: Any, path: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise SettingsError(f"{path:.200}: nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    elif isinstance(value, Enum):
        value = value.value
    elif isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SettingsError(f"{path}: the value {value} is not allowed.", hint="Use a finite number.")
        return float(value)
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise SettingsError(f"{path}: the text holds half a surrogate pair.", hint="Use valid Unicode text.")
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise SettingsError(f"{path}: every key must be text.")
        return {str(key): _plain(item, _join(path, key), depth + 1) for key, item in value.items()}
    raise SettingsError(f"{path}: a value of type {type(value).__name__} cannot be a setting.", hint="Use JSON values.")


def _join(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if key.isidentifier() and len(key) <= 60 else f"{path}.{key!r:.60}"


def load_json_file(path: str | Path, *, where: str = "") -> Any:
    """Read a JSON file strictly; see :func:`load_json`.

    Raises
    ------
    SettingsError
        If the file cannot be read, is too large, is not UTF-8, or its text is not such JSON.
    """
    file = Path(path)
    label = where or file.name
    try:
        if not file.is_file() and file.exists():
            raise SettingsError(f"{label}: a folder, pipe or device, not a file.")
        with open(file, "rb") as stream:
            content = stream.read(MAX_SETTINGS_BYTES + 1)
        if len(content) > MAX_SETTINGS_BYTES:
            raise SettingsError(f"{label}: the file is larger than {MAX_SETTINGS_BYTES} bytes.")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{label}: cannot be read: {error.strerror or 'unknown reason'}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{label}: not UTF-8 text.") from None
    except ValueError:
        raise SettingsError("The settings file's name holds a zero character.") from None
    return load_json(text, where=label)


def _explain(error: ValidationError, where: str) -> str:
    parts = []
    # A list of which every item is wrong counts as empty for pydantic: that the items are wrong is enough.
    items = [
        item
        for item in error.errors()
        if not _is_default(item["input"]) and not (item["type"] == "too_short" and item["input"])
    ] or error.errors()
    for item in items[:5]:
        path = where
        for key in item["loc"]:
            path = _join(path, key)
        whole = item["type"] in ("extra_forbidden", "missing") or isinstance(item["input"], dict)
        given = "" if whole else f" (given: {item['input']!r:.60})"
        message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
        reason = "unknown key" if item["type"] == "extra_forbidden" else message[:1].lower() + message[1:]
        parts.append(f"{path}: {reason}{given}")
    more = len(items) - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "") + "."
