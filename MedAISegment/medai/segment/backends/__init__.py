"""Libraries that run networks; one file each."""

from __future__ import annotations

from medai.core.registry import Registry

from ._base import Backend, Session

BACKENDS: Registry[Backend] = Registry("backend", __name__, Backend)

__all__ = ["BACKENDS", "Backend", "Session"]
