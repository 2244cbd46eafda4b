"""Methods that turn an image into labels; one file each."""

from __future__ import annotations

from medai.core.registry import Registry

from ._base import Segmenter

SEGMENTERS: Registry[Segmenter] = Registry("segmenter", __name__, Segmenter)

__all__ = ["SEGMENTERS", "Segmenter"]
