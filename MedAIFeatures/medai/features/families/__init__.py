"""The registry of feature families: every file of this folder that does not start with ``_``."""

from __future__ import annotations

from typing import Any, cast

from medai.core.registry import Registry

from ._base import Family

FAMILIES: Registry[Family[Any, Any]] = Registry("feature family", __name__, cast(Any, Family))
"""Every family that can be measured; ``FAMILIES.names()`` lists those that can run here."""
