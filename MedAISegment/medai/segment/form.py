"""A step's settings as plain field descriptions: what a panel, a web page or a command line needs to ask for them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from medai.core.errors import SettingsError
from medai.core.settings import Settings

Kind = Literal["number", "whole", "flag", "choice", "text", "segment", "segments", "numbers", "texts", "seeds", "json"]
"""What one field takes.

``number``, ``whole``: a real or whole number; ``flag``: yes or no; ``choice``: one of ``choices``; ``text``;
``segment``: name of a segment made so far, or nothing; ``segments``: several such names; ``numbers``: several numbers;
``texts``: several texts; ``seeds``: points (:class:`medai.segment.seeds.Seed`); ``json``: anything else.
"""
SMALLEST_STEP, MOST_DECIMALS = -6, 6


@dataclass(frozen=True)
class FormField:
    """One setting, as a form shows it.

    Parameters
    ----------
    key : str
        Key in the settings.
    title, description : str
        For people.
    kind : str
        See :data:`Kind`.
    default : JSON value
        What counts if the key is not given.
    unit : str
        Unit of the number, ``mm`` for example; empty if it has none.
    minimum, maximum : float, optional
        Smallest and largest value, or None without a limit.
    above, below : bool
        True if the limit itself is not allowed.
    choices : tuple of JSON values
        Of a ``choice``.
    optional : bool
        None is a value too: no limit, or found by the step itself.
    count : int, optional
        How many numbers or texts there are, if that is fixed.
    """

    key: str
    title: str
    description: str
    kind: Kind
    default: Any = None
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    below: bool = False
    choices: tuple[Any, ...] = ()
    optional: bool = False
    count: int | None = None

    @property
    def step(self) -> float:
        """By how much one click changes the number: a tenth of the default's size, 1 for a whole number."""
        if self.kind == "whole":
            return 1.0
        sizes = [abs(v) for v in (self.default, self.maximum, self.minimum) if isinstance(v, int | float) and v]
        if not sizes:
            return 1.0
        exponent = math.floor(math.log10(sizes[0])) - 1
        return float(10.0 ** min(max(exponent, SMALLEST_STEP), 3))

    @property
    def decimals(self) -> int:
        """How many digits after the point show the default, the limits and one step more."""
        if self.kind == "whole":
            return 0
        wanted = [max(0, 1 - round(math.log10(self.step)))]
        wanted += [_digits(v) for v in (self.default, self.minimum, self.maximum) if isinstance(v, float)]
        return min(max(2, *wanted), MOST_DECIMALS)


def fields_of(settings: type[Settings]) -> tuple[FormField, ...]:
    """Return the fields of a step's settings, in their order.

    Parameters
    ----------
    settings : type
        A step's ``Settings`` class; its JSON schema is read, so a class made elsewhere works as well.
    """
    schema = settings.model_json_schema()
    shared = schema.get("$defs", {})
    return tuple(_field(key, part, shared) for key, part in schema.get("properties", {}).items())


def problems_of(settings: type[Settings], values: Any) -> dict[str, str]:
    """Return what is wrong with a step's settings: the field's key and a sentence for each; empty if nothing is.

    The key is empty for what concerns several fields together.  An unknown key is named like any other.
    """
    try:
        settings.parse(values)
    except SettingsError as error:
        return _by_key(settings, values) or {"": error.message}
    return {}


def without_defaults(settings: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the values that differ from the defaults; unknown keys stay."""
    defaults = {field.key: field.default for field in fields_of(settings)}
    return {key: value for key, value in values.items() if key not in defaults or not _same(defaults[key], value)}


def _by_key(settings: type[Settings], values: Any) -> dict[str, str]:
    try:
        settings.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        found: dict[str, str] = {}
        for item in error.errors():
            place = item["loc"][0] if item["loc"] else ""
            message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
            if item["type"] == "extra_forbidden":
                message = "unknown key"
            elif item["loc"] and isinstance(item["input"], str | int | float):
                message = f"{message} (given: {item['input']!r:.40})"
            found.setdefault(str(place), f"{message[:1].upper()}{message[1:]}.")
        return found
    except (TypeError, ValueError):  # no JSON value; parse() has said so
        pass
    return {}


def _field(key: str, part: Mapping[str, Any], shared: Mapping[str, Any]) -> FormField:
    plain, optional = _without_null(part)
    target = _resolved(plain, shared)
    kind, extra = _kind(key, target, shared)
    return FormField(
        key,
        str(part.get("title") or target.get("title") or key),
        str(part.get("description") or target.get("description") or ""),
        kind,
        default=part.get("default"),
        unit=str(part.get("unit", plain.get("unit", ""))),
        optional=optional,
        **extra,
    )


def _without_null(part: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    kinds = part.get("anyOf", [])
    rest = [kind for kind in kinds if kind.get("type") != "null"]
    if len(rest) == len(kinds):
        return part, False
    return (rest[0], True) if len(rest) == 1 else ({**part, "anyOf": rest}, True)


def _resolved(part: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    name = part.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = shared.get(name, part) if name else part
    return found


def _kind(key: str, part: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:
    if "enum" in part or "const" in part:
        return "choice", {"choices": tuple(part.get("enum", [part.get("const")]))}
    kind = part.get("type")
    if kind == "boolean":
        return "flag", {}
    if kind in ("number", "integer"):
        return ("number" if kind == "number" else "whole"), _limits(part)
    if kind == "string":
        return ("segment" if key == "inside" else "text"), {}
    if kind == "array":
        return _array(key, part, shared)
    return "json", {}


def _array(key: str, part: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:
    items = part.get("prefixItems") or [part.get("items") or {}]
    fixed = len(items) if "prefixItems" in part else None
    resolved = [_resolved(item, shared) for item in items]
    kinds = {item.get("type") for item in resolved}
    if kinds <= {"number", "integer"}:
        return "numbers", {**_limits(resolved[0]), "count": fixed}
    if kinds == {"string"} and not any("enum" in item for item in resolved):
        return ("segments" if key == "segments" else "texts"), {"count": fixed}
    if kinds == {"object"} and set(resolved[0].get("properties", {})) == {"ras", "segment"}:
        return "seeds", {}
    return "json", {}


def _limits(part: Mapping[str, Any]) -> dict[str, Any]:
    above, below = "exclusiveMinimum" in part, "exclusiveMaximum" in part
    return {
        "minimum": part.get("exclusiveMinimum", part.get("minimum")),
        "maximum": part.get("exclusiveMaximum", part.get("maximum")),
        "above": above,
        "below": below,
    }


def _digits(value: float) -> int:
    text = f"{value:.{MOST_DECIMALS}f}".rstrip("0")
    return len(text) - text.index(".") - 1


def _same(default: Any, value: Any) -> bool:
    # 1 and True are equal in Python and are not the same setting.
    return bool(default == value) and isinstance(default, bool) == isinstance(value, bool)
