"""Drawing on a grey picture: outlines, letters, a scale bar; and writing it as a small PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

RGB = tuple[int, int, int]
Mask = npt.NDArray[np.float32]
_SMOOTH = 3
"""Outlines are drawn this many times larger and scaled down, which smooths their edges."""
_SHADES = 6
_WHITE: RGB = (255, 255, 255)


@dataclass(frozen=True)
class Outline:
    """One region's outline.

    Parameters
    ----------
    mask : array, shape (rows, columns)
        0..1; the outline runs at 0.5.
    color : tuple of int
        RGB, 0..255.
    strong : bool
        True for the region that the picture is about; others are thin.
    """

    mask: Mask
    color: RGB
    strong: bool


def scale_bar_mm(fov_mm: float) -> float:
    """Return the longest of 1, 2, 5, 10, 20, ... (or 0.5, 0.2, ...) mm that is at most 30 % of the picture's width."""
    limit = 0.3 * fov_mm
    decade = 10.0 ** math.floor(math.log10(limit))
    return max(step * decade for step in (1.0, 2.0, 5.0) if step * decade <= limit * (1 + 1e-9))


def draw(
    grey: npt.NDArray[np.uint8],
    outlines: Sequence[Outline],
    letters: Mapping[str, str],
    fov_mm: float,
    captions: tuple[str, str],
) -> Image.Image:
    """Return an RGB picture.

    Parameters
    ----------
    grey : array, shape (rows, columns)
        The background.
    letters : mapping
        Text for ``left``, ``right``, ``top``, ``bottom``.
    fov_mm : float
        Width of the picture, for the scale bar.
    captions : tuple of str
        Texts for the upper left and the lower left corner.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(grey, mode="L").convert("RGB")
    unit = picture.width / 320.0
    for outline in sorted(outlines, key=lambda item: item.strong):
        _stroke(picture, outline, unit)
    pen = ImageDraw.Draw(picture)
    _letters(pen, picture, letters, unit)
    _scale_bar(pen, picture, fov_mm, unit)
    small, gap = _font(13 * unit), 5 * unit
    _text(pen, (gap, gap), captions[0], small, "la")
    _text(pen, (gap, picture.height - gap), captions[1], small, "ld")
    return picture


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(max(8.0, size))


def _text(pen: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, font: Any, anchor: str, rim: int = 1) -> None:
    # A black rim keeps white letters readable on bone and on air.
    pen.text(xy, text, fill=_WHITE, font=font, anchor=anchor, stroke_width=rim, stroke_fill=(0, 0, 0))


def _letters(pen: ImageDraw.ImageDraw, picture: Image.Image, letters: Mapping[str, str], unit: float) -> None:
    w, h, gap, font = picture.width, picture.height, 6 * unit, _font(20 * unit)
    spots = {
        "left": (gap, h / 2, "lm"),
        "right": (w - gap, h / 2, "rm"),
        "top": (w / 2, gap, "ma"),
        "bottom": (w / 2, h - gap, "md"),
    }
    for edge, (x, y, anchor) in spots.items():
        if letters.get(edge):
            _text(pen, (x, y), letters[edge], font, anchor, rim=2)


def _scale_bar(pen: ImageDraw.ImageDraw, picture: Image.Image, fov_mm: float, unit: float) -> None:
    length_mm = scale_bar_mm(fov_mm)
    length = length_mm / fov_mm * picture.width
    right, bottom, thick = picture.width - 8 * unit, picture.height - 8 * unit, max(2.0, 3 * unit)
    pen.rectangle((right - length - 1, bottom - thick - 1, right + 1, bottom + 1), fill=(0, 0, 0))
    pen.rectangle((right - length, bottom - thick, right, bottom), fill=_WHITE)
    _text(pen, (right, bottom - thick - 3 * unit), f"{length_mm:g} mm", _font(13 * unit), "rd")


def _stroke(picture: Image.Image, outline: Outline, unit: float) -> None:
    width = (2.2 if outline.strong else 1.2) * unit
    lines = _contours(outline.mask)
    if not lines:
        return
    points = np.concatenate(lines)
    margin = width + 4 * unit
    top, left = (max(0, int(v)) for v in points.min(axis=0) - margin)
    bottom, right = (math.ceil(v) + 1 for v in points.max(axis=0) + margin)
    box = (left, top, min(right, picture.width), min(bottom, picture.height))
    picture.paste((0, 0, 0), box, _coverage(lines, box, width + 2.0 * unit))
    picture.paste(outline.color, box, _coverage(lines, box, width))


def _contours(mask: Mask) -> list[npt.NDArray[np.float64]]:
    from skimage.measure import find_contours

    # The border of zeros closes an outline that the picture's edge cuts.
    return [line - 1.0 for line in find_contours(np.pad(mask, 1), 0.5)]


def _coverage(lines: list[npt.NDArray[np.float64]], box: tuple[int, int, int, int], width: float) -> Image.Image:
    """Return how much of each pixel of a box (left, top, right, bottom) the lines cover."""
    from PIL import Image, ImageDraw

    size = box[2] - box[0], box[3] - box[1]
    large = Image.new("L", (size[0] * _SMOOTH, size[1] * _SMOOTH), 0)
    pen = ImageDraw.Draw(large)
    corner = np.asarray([box[0], box[1]]) - 0.5
    for line in lines:
        # find_contours gives (row, column) of pixel centres.
        points = (line[:, ::-1] - corner) * _SMOOTH
        pen.line(points.ravel().tolist(), fill=255, width=max(1, round(width * _SMOOTH)), joint="curve")
    return large.resize(size, Image.Resampling.BOX)


def encode_png(picture: Image.Image, colors: Sequence[RGB], greys: int) -> bytes:
    """Return a palette PNG: ``greys`` even steps from black to white, and shades of each outline colour.

    No date or other text is stored: the same picture gives the same bytes.
    """
    from PIL import Image

    kept = list(dict.fromkeys(colors))[: (256 - greys) // _SHADES]
    entries: list[tuple[int, ...]] = [(round(i * 255 / (greys - 1)),) * 3 for i in range(greys)]
    entries += [tuple(round(c * s / _SHADES) for c in color) for color in kept for s in range(1, _SHADES + 1)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([channel for entry in entries for channel in entry])
    stream = io.BytesIO()
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
