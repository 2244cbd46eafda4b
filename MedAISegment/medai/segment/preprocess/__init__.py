"""Filters that clean an image before it is segmented; one file each."""

from __future__ import annotations

from medai.core.registry import Registry

from ._base import Filter

PREPROCESS: Registry[Filter] = Registry("filter", __name__, Filter)

__all__ = ["PREPROCESS", "Filter"]
