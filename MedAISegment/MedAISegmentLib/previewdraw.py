"""The preview's pictures and histograms as pixmaps."""

from __future__ import annotations

import itertools
import math
from typing import Any

import qt

BEFORE, AFTER = "#8a8a8a", "#e07b00"


def pixmapOf(picture: Any, pixelMm: tuple[float, float], width: int, height: int) -> Any:
    """Return an RGB array (rows, columns, 3) of uint8 as a pixmap in its true proportions, as large as fits."""
    rows, columns = picture.shape[:2]
    # PPM is the picture's own bytes after one line, and every Qt reads it: no binding of images is needed.
    data = b"P6 %d %d 255\n" % (columns, rows) + picture.tobytes()
    pixmap = qt.QPixmap()
    pixmap.loadFromData(qt.QByteArray(data), "PPM")
    high, wide = rows * pixelMm[0], columns * pixelMm[1]
    scale = min(width / wide, height / high)
    size = qt.QSize(max(1, round(wide * scale)), max(1, round(high * scale)))
    return pixmap.scaled(size, qt.Qt.IgnoreAspectRatio, qt.Qt.SmoothTransformation)


def histogramPixmap(histograms: Any, width: int, height: int, palette: Any) -> Any:
    """Return both histograms in one picture: grey before, a coloured line after; heights by the square root."""
    pixmap = qt.QPixmap(width, height)
    pixmap.fill(palette.color(qt.QPalette.Base))
    painter = qt.QPainter()
    painter.begin(pixmap)
    # The largest bin is often air: without it the others can be seen.
    tops = [sorted(h["counts"])[-2:][0] or max(h["counts"]) or 1 for h in histograms]
    before, after = (
        [min(1.0, math.sqrt(n / top)) for n in h["counts"]] for h, top in zip(histograms, tops, strict=True)
    )
    for number, share in enumerate(before):
        left, right = round(number * width / len(before)), round((number + 1) * width / len(before))
        bar = round(share * (height - 2))
        painter.fillRect(left, height - bar, max(1, right - left), bar, qt.QColor(BEFORE))
    painter.setPen(qt.QPen(qt.QColor(AFTER)))
    places = [
        (round((n + 0.5) * width / len(after)), height - 1 - round(v * (height - 2))) for n, v in enumerate(after)
    ]
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        painter.drawLine(x0, y0, x1, y1)
        painter.drawLine(x0, y0 + 1, x1, y1 + 1)
    painter.end()
    return pixmap


def rangeText(values: dict[str, Any]) -> str:
    """Return a histogram's limits for people."""
    return f"{values['low']:.4g} to {values['high']:.4g}"
