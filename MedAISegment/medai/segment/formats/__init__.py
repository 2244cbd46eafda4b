"""Formats in which models come; one file each."""

from __future__ import annotations

from medai.core.registry import Registry

from ._base import ModelFormat

FORMATS: Registry[ModelFormat] = Registry("model format", __name__, ModelFormat)

__all__ = ["FORMATS", "ModelFormat"]
