"""Measuring segments: shape and intensity features as the IBSI reference manual defines them.

``extract(volume, labels)`` is the one entry point; a new family is one file in ``families``.
"""

from __future__ import annotations

from .families import FAMILIES
from .result import FeatureTable, FeatureValue
from .service import extract
from .settings import ExtractSettings, IntensityLimits

__all__ = ["FAMILIES", "ExtractSettings", "FeatureTable", "FeatureValue", "IntensityLimits", "extract"]
