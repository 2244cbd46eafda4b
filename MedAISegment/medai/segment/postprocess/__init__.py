"""Operations on labels: repair, smooth, split, combine; one file each."""

from __future__ import annotations

from medai.core.registry import Registry

from ._base import Post, SegmentsSettings, chosen

POSTPROCESS: Registry[Post] = Registry("label operation", __name__, Post)

__all__ = ["POSTPROCESS", "Post", "SegmentsSettings", "chosen"]
