"""Short ways to declare the stand-ins' Qt properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore


def stored(kind: Any, attribute: str, setter: Callable[[Any, Any], None]) -> QtCore.Property:
    """A property whose value lies in `attribute` and whose setter is the method given."""
    return QtCore.Property(kind, lambda self: getattr(self, attribute), setter)
