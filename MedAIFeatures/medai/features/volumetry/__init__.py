"""Volumes of anatomical wholes made of segments: sums, left against right, and shares of a reference volume."""

from __future__ import annotations

from .derive import FAMILY, TITLES, add_derived, derive
from .settings import Derived, Pair, Total

__all__ = ["FAMILY", "TITLES", "Derived", "Pair", "Total", "add_derived", "derive"]
