"""Pictures of made-up cells: bright shapes on a textured background, with lines that look like them but are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.settings import Settings

Plane = npt.NDArray[np.float64]


class CellSettings(Settings):
    """What the pictures show."""

    size: int = Field(128, ge=32, le=4096, description="Rows and columns.")
    cells: tuple[int, int] = Field((1, 6), description="Fewest and most cells of a picture.")
    radius: tuple[float, float] = Field((5.0, 13.0), description="Smallest and largest mean radius in pixels.")
    contrast: tuple[float, float] = Field((0.15, 0.4), description="Of a cell against the background, which is 0.4.")
    texture: float = Field(0.08, ge=0, le=1, description="SD of the background's smooth texture.")
    noise: float = Field(0.04, ge=0, le=1, description="SD of the noise of single pixels.")
    lines: int = Field(2, ge=0, le=100, description="Bright lines, which are not to be found.")
    colour: Literal["grey", "rgb"] = "grey"


def cells(
    seed: int, number: int, settings: CellSettings | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Return one picture and its instances.

    Parameters
    ----------
    seed, number : int
        Decide everything; the same two give the same picture.

    Returns
    -------
    picture : array, shape (rows, columns) or (rows, columns, 3), uint8
    instances : array, shape (rows, columns), uint16
        0 is background; cells may touch but never overlap, and each is in one piece.
    """
    from scipy.ndimage import gaussian_filter

    s = settings or CellSettings()
    random = np.random.default_rng([seed, number])
    rows, columns = np.mgrid[: s.size, : s.size].astype(np.float64)
    image = 0.4 + s.texture * _texture(random, s.size)
    for _ in range(s.lines):
        image += _line(random, rows, columns, s.size)
    instances = np.zeros((s.size, s.size), dtype=np.uint16)
    wanted, tries = int(random.integers(s.cells[0], s.cells[1] + 1)), 0
    while instances.max(initial=0) < wanted and tries < 50 * wanted:
        tries += 1
        inside = _blob(random, rows, columns, s)
        if inside.any() and not (instances[inside] > 0).any():
            instances[inside] = instances.max() + 1
            soft = gaussian_filter(inside.astype(np.float64), 0.8)
            image += random.uniform(*s.contrast) * soft * (1 + 0.3 * _texture(random, s.size))
    grey = np.clip(image + s.noise * random.standard_normal(image.shape), 0, 1)
    if s.colour == "rgb":
        tint = np.array([0.9, 0.5, 0.8])  # about as haematoxylin and eosin look
        grey = np.clip(1 - (1 - tint) * 1.6 * grey[..., None], 0, 1)
    return np.rint(255 * grey).astype(np.uint8), instances


def write_cells(folder: str | Path, count: int, seed: int = 0, settings: CellSettings | None = None) -> Path:
    """Write a data set: ``images/cell_000.png`` and ``masks/cell_000.png``, and so on; returns the folder.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from PIL import Image

    from medai.core.atomic import atomic_path, ensure_folder

    root = Path(folder)
    for name in ("images", "masks"):
        ensure_folder(root / name)
    for number in range(count):
        arrays: tuple[npt.NDArray[Any], ...] = cells(seed, number, settings)
        for name, array in zip(("images", "masks"), arrays, strict=True):
            with atomic_path(root / name / f"cell_{number:03d}.png") as temporary:
                Image.fromarray(array).save(temporary, format="PNG")
    return root


def _texture(random: np.random.Generator, size: int) -> Plane:
    from scipy.ndimage import gaussian_filter

    texture: Plane = gaussian_filter(random.standard_normal((size, size)), 4.0, mode="wrap")
    return texture / max(float(texture.std()), 1e-9)


def _line(random: np.random.Generator, rows: Plane, columns: Plane, size: int) -> Plane:
    angle, offset = random.uniform(0, np.pi), random.uniform(-0.3, 0.3) * size
    distance = (rows - size / 2) * np.cos(angle) + (columns - size / 2) * np.sin(angle) - offset
    return np.asarray(random.uniform(0.1, 0.3) * np.exp(-0.5 * (distance / random.uniform(1.0, 2.0)) ** 2))


def _blob(random: np.random.Generator, rows: Plane, columns: Plane, s: CellSettings) -> npt.NDArray[np.bool_]:
    """Return a star-shaped region: a circle whose radius swings 2 to 4 times on the way round."""
    radius = random.uniform(*s.radius)
    margin = 0.6 * radius
    row, column = random.uniform(margin, s.size - margin, 2)
    angle = np.arctan2(rows - row, columns - column)
    edge = np.full_like(angle, radius)
    for swings in (2, 3, 4):
        edge += radius * random.uniform(0, 0.35 / swings) * np.cos(swings * angle + random.uniform(0, 2 * np.pi))
    return np.asarray(np.hypot(rows - row, columns - column) <= edge)
