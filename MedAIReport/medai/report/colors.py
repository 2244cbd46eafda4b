"""Outline colours that can be seen on a grey picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from medai.core.labelmap import Segment

RGB = tuple[int, int, int]

_PALETTE: tuple[RGB, ...] = (
    (255, 214, 10), (64, 200, 255), (255, 105, 180), (120, 230, 80), (255, 140, 40),
    (190, 140, 255), (0, 225, 190), (255, 90, 80), (200, 220, 120), (120, 150, 255),
)  # fmt: skip


def outline_colors(segments: Sequence[Segment]) -> dict[int, RGB]:
    """Return label -> RGB: the segment's own colour if it stands out from grey, else the next of a fixed palette."""
    own = {s.label: _rgb(s) for s in segments if _stands_out(s.color)}
    free = [c for c in _PALETTE if c not in own.values()] or list(_PALETTE)
    chosen: dict[int, RGB] = {}
    for segment in segments:
        others = len(chosen) - len(own.keys() & chosen.keys())
        chosen[segment.label] = own.get(segment.label, free[others % len(free)])
    return chosen


def hex_color(rgb: RGB) -> str:
    """Return ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _rgb(segment: Segment) -> RGB:
    r, g, b = (min(255, max(0, round(v * 255))) for v in segment.color)
    return r, g, b


def _stands_out(color: tuple[float, float, float]) -> bool:
    _, saturation, value = colorsys.rgb_to_hsv(*(min(1.0, max(0.0, v)) for v in color))
    return saturation >= 0.35 and value >= 0.6
