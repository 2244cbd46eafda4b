"""Segmentation: filters, segmenters, models, training and evaluation.

``medai.segment.run(volume, pipeline)`` is the way in for the console; see :mod:`medai.segment.pipeline`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    # Importing the package must stay cheap: the registries are filled at first use.
    if name == "run":
        from .pipeline import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
