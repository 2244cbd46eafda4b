"""A bundle's configuration as data: references, macros and a few plain expressions, never executed.

MONAI evaluates every text that starts with ``$`` as Python and imports every ``_target_``.  Here only what is asked for
is looked at, and an expression may hold literals, references, ``len``, joining, a choice between two values, and a few
names that are known in advance.  Everything else is refused with its text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medai.core.errors import ManifestError, UnsafeModel

MAX_EXPRESSION = 2000
MAX_NESTING = 40
MAX_STEPS = 200_000
"""Values that are looked at for one answer: references to references could otherwise double without end."""
MAX_JOINED = 100_000
_ID = r"@[A-Za-z_]\w*(?:(?:#|::)\w+)*"
_REFERENCE = re.compile(_ID)
_PREFIX = "medai_reference_"
CONSTANTS = {
    "monai.utils.CommonKeys.IMAGE": "image",
    "monai.utils.CommonKeys.LABEL": "label",
    "monai.utils.CommonKeys.PRED": "pred",
    "CommonKeys.IMAGE": "image",
    "CommonKeys.LABEL": "label",
    "CommonKeys.PRED": "pred",
    "torch.float32": "float32",
    "np.float32": "float32",
    "numpy.float32": "float32",
}
"""Names that an expression may hold, and what they stand for."""


@dataclass(frozen=True)
class Code:
    """An expression that would have to be executed: whoever needs its value refuses it."""

    text: str
    where: str

    def refused(self) -> UnsafeModel:
        """Return the error that shows the expression."""
        return UnsafeModel(
            f"{self.where} is code that would have to be executed: {self.text[:200]!r}.",
            hint="MedAI reads bundles as data. Write the value itself in its place.",
        )


def plain(value: Any) -> Any:
    """Return a value if there is no code in it.

    Raises
    ------
    UnsafeModel
        With the first expression.
    """
    if isinstance(value, Code):
        raise value.refused()
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        plain(item)
    return value


class Config:
    """One configuration.

    Parameters
    ----------
    values : dict
        As read from JSON or YAML.
    where : str
        The file's name, for messages.
    given : mapping, optional
        Values that replace those of the file, for example ``bundle_root``.
    """

    def __init__(self, values: dict[str, Any], where: str, given: Mapping[str, Any] | None = None) -> None:
        self.values = {**values, **(given or {})}
        self.where = where
        self._open: list[str] = []
        self._steps = 0

    def has(self, path: str) -> bool:
        """Tell whether there is a value at a path such as ``network_def`` or ``a::0::b``."""
        try:
            self._raw(path)
        except ManifestError:
            return False
        return True

    def get(self, path: str) -> Any:
        """Return the value at a path, with everything in it resolved; :class:`Code` stands for what cannot be.

        Raises
        ------
        ManifestError
            If there is no such value, or it refers to itself.
        """
        path = path.replace("#", "::")
        if path in self._open or len(self._open) > MAX_NESTING:
            raise ManifestError(f"{self.where}: the value {path!r} refers to itself.")
        if not self._open:
            self._steps = 0
        self._open.append(path)
        try:
            return self._resolved(self._raw(path), path, 0)
        finally:
            self._open.pop()

    def _raw(self, path: str) -> Any:
        value: Any = self.values
        done = ""
        for key in path.replace("#", "::").split("::"):
            if isinstance(value, str) and value.startswith(("@", "%")):
                value = self._resolved(value, done, 0)
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                raise ManifestError(f"{self.where}: there is no value {path!r}.")
            done = f"{done}::{key}" if done else key
        return value

    def _resolved(self, value: Any, path: str, depth: int) -> Any:
        self._steps += 1
        if depth > MAX_NESTING or self._steps > MAX_STEPS:
            raise ManifestError(f"{self.where}: {path[:120]} is nested too deeply.")
        if isinstance(value, dict):
            return {
                key: self._resolved(item, f"{path}::{key}", depth + 1)
                for key, item in value.items()
                if not (isinstance(item, dict) and self._disabled(item, f"{path}::{key}"))
            }
        if isinstance(value, list):
            return [
                self._resolved(item, f"{path}::{number}", depth + 1)
                for number, item in enumerate(value)
                if not (isinstance(item, dict) and self._disabled(item, f"{path}::{number}"))
            ]
        if not isinstance(value, str):
            return value
        if _REFERENCE.fullmatch(value):
            return self.get(value[1:])
        if value.startswith("%"):
            # MONAI pastes what a macro names in its place; within one file that is what a reference gives.
            if not re.fullmatch(_ID[1:], value[1:]):
                raise ManifestError(f"{self.where}: the macro {value[:200]!r} at {path} reads another file.")
            return self.get(value[1:])
        if value.startswith("$"):
            return self._expression(value, path)
        return value

    def _disabled(self, item: dict[str, Any], path: str) -> bool:
        flag = item.get("_disabled_", False)
        if isinstance(flag, str) and flag.startswith(("$", "@", "%")):
            flag = self._resolved(flag, f"{path}::_disabled_", 0)
        return flag is True or (isinstance(flag, str) and flag.strip().lower() == "true")

    def _expression(self, text: str, path: str) -> Any:
        code = Code(text, f"{self.where}: {path}")
        if len(text) > MAX_EXPRESSION:
            return code
        names: list[str] = []

        def named(match: re.Match[str]) -> str:
            names.append(match.group()[1:])
            return f"{_PREFIX}{len(names) - 1}"

        try:
            tree = ast.parse(_REFERENCE.sub(named, text[1:]).strip(), mode="eval")
            return self._walk(tree.body, names, 0)
        except (_Refused, SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            return code

    def _walk(self, node: ast.expr, names: list[str], depth: int) -> Any:
        """Return what a parsed expression stands for; only the kinds of nodes below are known."""

        def inner(part: ast.expr) -> Any:
            return self._walk(part, names, depth + 1)

        if depth > MAX_NESTING:
            raise _Refused
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str()):
                return node.value
            case ast.List() | ast.Tuple():
                return [inner(item) for item in node.elts]
            case ast.Dict() if all(key is not None for key in node.keys):
                return {inner(k): inner(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None}
            case ast.Name(id=name) if name.startswith(_PREFIX):
                value = self.get(names[int(name.removeprefix(_PREFIX))])
                if isinstance(value, Code):
                    raise _Refused
                return value
            case ast.Attribute() if (known := ast.unparse(node)) in CONSTANTS:
                return CONSTANTS[known]
            case ast.UnaryOp(op=ast.USub()) if type(number := inner(node.operand)) in (int, float):
                return -number
            case ast.UnaryOp(op=ast.Not()) if isinstance(flag := inner(node.operand), bool):
                return not flag
            case ast.IfExp() if isinstance(chosen := inner(node.test), bool):
                return inner(node.body if chosen else node.orelse)
            case ast.BinOp(op=ast.Add()):
                left, right = inner(node.left), inner(node.right)
                if type(left) is type(right) is int:
                    return left + right
                if type(left) is type(right) and type(left) in (list, str) and len(left) + len(right) <= MAX_JOINED:
                    return left + right
            case ast.Call(func=ast.Name(id="len"), args=[only], keywords=[]):
                if isinstance(value := inner(only), (list, dict, str)):
                    return len(value)
        raise _Refused


class _Refused(Exception):
    """An expression holds something that is not known."""
