"""Draw the three module icons (128 x 128 PNG) of MedAIExtension.

Usage: ``python docs/icons/draw_icons.py`` from the repository root; needs Pillow and numpy.

Each icon is one bold shape on a rounded tile, so that it still reads at the 24 px of Slicer's module list:
a labelled structure inside a head slice (Segment), a grey-level matrix (Features), a page with a figure (Report).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = 128
SCALE = 8  # everything is drawn eight times larger and reduced once, which smooths the edges
ROOT = Path(__file__).resolve().parents[2]

WHITE = (255, 255, 255, 255)
AMBER = (255, 183, 77, 255)
CORAL = (255, 112, 97, 255)


def tile(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    """Return a rounded square with a vertical gradient."""
    n = SIZE * SCALE
    ramp = np.linspace(0.0, 1.0, n)[:, None, None]
    colours = (1 - ramp) * np.array(top) + ramp * np.array(bottom)
    pixels = np.empty((n, n, 4), np.uint8)
    pixels[..., :3] = np.broadcast_to(colours, (n, n, 3)).round()
    pixels[..., 3] = 255
    image = Image.fromarray(pixels, "RGBA")
    mask = Image.new("L", (n, n), 0)
    ImageDraw.Draw(mask).rounded_rectangle([4 * SCALE, 4 * SCALE, n - 4 * SCALE - 1, n - 4 * SCALE - 1], 26 * SCALE, 255)
    image.putalpha(mask)
    return image


def scaled(points: np.ndarray) -> list[tuple[float, float]]:
    """Return icon coordinates (0..128) in drawing pixels."""
    return [(float(x) * SCALE, float(y) * SCALE) for x, y in points]


def blob(centre_line: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Return the outline of a band of varying width around a curve, shape (2 n, 2)."""
    tangent = np.gradient(centre_line, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    half = widths[:, None] / 2
    return np.concatenate([centre_line + normal * half, (centre_line - normal * half)[::-1]])


def band(draw: ImageDraw.ImageDraw, angles: tuple[float, float], radius: float, centre: tuple[float, float], widths: tuple[float, float], fill: tuple[int, int, int, int]) -> None:
    """Draw a tapering arc with round ends; angles in degrees, clockwise from +x."""
    t = np.deg2rad(np.linspace(*angles, 80))
    line = np.stack([centre[0] + radius * np.cos(t), centre[1] + radius * np.sin(t)], axis=1)
    width = np.linspace(widths[0], widths[1], len(t))
    draw.polygon(scaled(blob(line, width)), fill=fill)
    for point, w in ((line[0], width[0]), (line[-1], width[-1])):
        box = np.array([[point[0] - w / 2, point[1] - w / 2], [point[0] + w / 2, point[1] + w / 2]])
        draw.ellipse([c for pair in scaled(box) for c in pair], fill=fill)


def segment() -> Image.Image:
    """Draw a head slice in outline with one curved structure filled in two parts."""
    image = tile((20, 122, 140), (10, 72, 98))
    draw = ImageDraw.Draw(image)
    box = [18 * SCALE, 22 * SCALE, 110 * SCALE, 106 * SCALE]
    draw.ellipse(box, fill=(13, 38, 50, 255), outline=WHITE, width=7 * SCALE)
    band(draw, (262, 388), 25, (63, 71), (19, 15), AMBER)
    band(draw, (262, 200), 25, (63, 71), (19, 23), CORAL)
    return image


def features() -> Image.Image:
    """Draw a 3 x 3 grey-level matrix whose last column is marked."""
    image = tile((92, 84, 190), (53, 46, 128))
    draw = ImageDraw.Draw(image)
    levels = [[235, 150, 0], [120, 235, 0], [190, 95, 0]]
    marks = [AMBER, CORAL, AMBER]
    for row in range(3):
        for column in range(3):
            x, y = 22 + 29 * column, 22 + 29 * row
            grey = levels[row][column]
            fill = marks[row] if column == 2 else (grey, grey, min(255, grey + 12), 255)
            draw.rounded_rectangle([x * SCALE, y * SCALE, (x + 26) * SCALE, (y + 26) * SCALE], 5 * SCALE, fill)
    return image


def report() -> Image.Image:
    """Draw a page with a folded corner, a small figure and lines of text."""
    image = tile((46, 125, 84), (22, 80, 58))
    draw = ImageDraw.Draw(image)
    page = np.array([[30, 18], [78, 18], [100, 40], [100, 110], [30, 110]])
    draw.polygon(scaled(page), fill=WHITE)
    draw.polygon(scaled(np.array([[78, 18], [78, 40], [100, 40]])), fill=(176, 214, 192, 255))
    draw.rounded_rectangle([40 * SCALE, 30 * SCALE, 68 * SCALE, 58 * SCALE], 4 * SCALE, (38, 50, 56, 255))
    draw.ellipse([46 * SCALE, 37 * SCALE, 62 * SCALE, 51 * SCALE], fill=CORAL)
    for x0, x1, y in ((40, 90, 68), (40, 90, 82), (40, 72, 96)):
        draw.rounded_rectangle([x0 * SCALE, y * SCALE, x1 * SCALE, (y + 7) * SCALE], 3 * SCALE, (96, 125, 139, 255))
    return image


def main() -> None:
    """Write the icons into the modules' resources."""
    for module, draw in (("MedAISegment", segment), ("MedAIFeatures", features), ("MedAIReport", report)):
        folder = ROOT / module / "Resources" / "Icons"
        folder.mkdir(parents=True, exist_ok=True)
        icon = draw().resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        icon.save(folder / f"{module}.png", optimize=True)


if __name__ == "__main__":
    main()
