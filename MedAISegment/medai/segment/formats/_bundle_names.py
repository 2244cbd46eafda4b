"""Names in bundles: which class of MONAI a ``_target_`` means, and plain values of its arguments."""

from __future__ import annotations

import re
from typing import Any

from medai.core.errors import ManifestError

from ._bundle_config import Code, plain

IGNORED = frozenset({"_target_", "_disabled_", "_requires_", "_desc_", "_mode_", "allow_missing_keys"})
"""Keys of a component that say nothing about the result."""


def target_of(component: Any, where: str, below: str) -> str:
    """Return the class' name, without the module if that is one of MONAI's.

    Parameters
    ----------
    component : dict
        With ``_target_``, for example ``monai.transforms.Spacingd`` or ``Spacingd``.
    below : str
        Where MONAI keeps such classes, for example ``monai.transforms``.

    Raises
    ------
    ManifestError
        If it is no component.
    """
    name = component.get("_target_") if isinstance(component, dict) else None
    if isinstance(component, Code) or isinstance(name, Code):
        plain(component)
    if not isinstance(name, str):
        raise ManifestError(f"{where}: a component with a _target_ was expected.")
    return name.rsplit(".", 1)[-1] if name.startswith(f"{below}.") else name


def transform_of(component: Any, where: str) -> str:
    """Return a dictionary transform's name as it ends in ``d``; MONAI knows each by three names."""
    return re.sub(r"(?<=[a-z])(D|Dict)$", "d", target_of(component, where, "monai.transforms"))


class Arguments:
    """The arguments of one component; each must be asked for, so that none is passed over.

    Parameters
    ----------
    component : dict
        Resolved.
    where : str
        For messages, for example ``inference.json: preprocessing Spacingd``.
    """

    def __init__(self, component: dict[str, Any], where: str) -> None:
        self.where = where
        self._left = {key: value for key, value in component.items() if key not in IGNORED}

    def take(self, name: str, default: Any = None) -> Any:
        """Return an argument, or its default if it is not given.

        Raises
        ------
        UnsafeModel
            If it is code.
        """
        return plain(self._left.pop(name, default))

    def text(self, name: str) -> str:
        """Return an argument as it is written, code included; empty if it is no text."""
        value = self._left.pop(name, "")
        return value.text if isinstance(value, Code) else value if isinstance(value, str) else ""

    def rest(self) -> dict[str, Any]:
        """Return all other arguments."""
        return {name: self.take(name) for name in list(self._left)}

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an argument that is true or false; some bundles write it as text.

        Raises
        ------
        ManifestError
            If it is neither.
        """
        value = self.take(name, default)
        if isinstance(value, str) and value.lower() == "true":
            return True
        if not isinstance(value, bool):
            raise self.refused(name, value)
        return value

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return an argument that is a number.

        Raises
        ------
        ManifestError
            If it is not.
        """
        value = self.take(name, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise self.refused(name, value)
        return None if value is None else float(value)

    def names(self, name: str) -> tuple[str, ...]:
        """Return an argument that is a text or a list of texts.

        Raises
        ------
        ManifestError
            If it is neither.
        """
        value = self.take(name, ())
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not all(isinstance(item, str) for item in values):
            raise self.refused(name, value)
        return tuple(values)

    def only(self, name: str, *allowed: Any) -> None:
        """Refuse an argument unless it is missing or has one of the values, alone or for each key.

        Raises
        ------
        ManifestError
            With the name and the value.
        """
        if name in self._left:
            value = self.take(name)
            values = value if isinstance(value, list) and value else [value]
            if not all(any(item is a or (type(item) is type(a) and item == a) for a in allowed) for item in values):
                raise self.refused(name, value)

    def ignore(self, *names: str) -> None:
        """Pass over arguments that do not change the result."""
        for name in names:
            self._left.pop(name, None)

    def done(self) -> None:
        """Refuse arguments that nobody asked for.

        Raises
        ------
        ManifestError
            With the first one's name.
        """
        for name, value in self._left.items():
            raise self.refused(name, plain(value))

    def refused(self, name: str, value: Any) -> ManifestError:
        """Return the error for an argument that cannot be reproduced."""
        return ManifestError(f"{self.where}: MedAI cannot reproduce {name} = {value!r:.120}.")
