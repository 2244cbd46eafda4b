"""Segmentation: filters, segmenters, models, training and evaluation.

``medai.segment.run(volume, pipeline)`` (segments) and ``medai.segment.apply_filters(volume, pipeline)`` (a cleaner
image) are the way in for the console; see :mod:`medai.segment.pipeline`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["apply_filters", "run", "run_pipeline"]


def __getattr__(name: str) -> Any:
    # Importing the package must stay cheap: the registries are filled at first use.
    if name in __all__:
        from . import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
