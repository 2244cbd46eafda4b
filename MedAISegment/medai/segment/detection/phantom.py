"""A generated chest CT: fat, muscle, ribs, spine, heart, liver, and two lungs with branching vessels.

It looks like a chest to a detector that looks for round things among tubes; it is no model of anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.geometry import FloatArray, Geometry
from medai.core.settings import Settings
from medai.core.volume import Volume

AIR, FAT, MUSCLE, BLOOD, LUNG, BONE = -1000.0, -100.0, 50.0, 40.0, -860.0, 350.0
STEP_MM = 1.5
"""Distance between the balls that a vessel is made of."""


class PhantomSettings(Settings):
    """Size and grain of a phantom."""

    size_mm: tuple[float, float, float] = Field((320.0, 230.0, 130.0), description="Along R, A, S.")
    spacing: tuple[float, float, float] = Field((2.0, 2.0, 2.5), description="mm along I, J, K.")
    vessels: int = Field(7, ge=0, le=40, description="Trees of vessels in each lung.")
    noise_hu: float = Field(20.0, ge=0, le=200)


@dataclass(frozen=True, eq=False)
class Background:
    """An image, and where in it nodules may be planted (bool, shape KJI)."""

    volume: Volume
    place: npt.NDArray[np.bool_]
    name: str = ""


def thorax_phantom(seed: int | tuple[int, ...], settings: PhantomSettings | None = None) -> Background:
    """Generate a chest; the same seed gives the same one.

    The place for nodules is the lungs without the larger vessels.
    """
    from scipy import ndimage

    chosen = settings or PhantomSettings()
    generator = np.random.default_rng(seed)
    size = np.maximum(8, np.round(np.asarray(chosen.size_mm) / np.asarray(chosen.spacing))).astype(int)
    i, j, k = (int(n) for n in size)
    grid = Geometry.from_spacing((k, j, i), chosen.spacing)
    x, y, z = (-float(value) for value in grid.centre)
    grid = Geometry.from_spacing((k, j, i), chosen.spacing, (x, y, z))
    s, a, r = np.meshgrid(*(_line(grid, axis) for axis in (2, 1, 0)), indexing="ij", sparse=True)
    vary = generator.uniform(0.92, 1.08, 12)
    half_r, half_a = 0.45 * chosen.size_mm[0] * vary[0], 0.44 * chosen.size_mm[1] * vary[1]
    fat = generator.uniform(8, 22)
    values = np.full(grid.shape, AIR, dtype=np.float32)
    body = (r / half_r) ** 2 + (a / half_a) ** 2 < 1
    wall = (r / (half_r - fat)) ** 2 + (a / (half_a - fat)) ** 2 < 1
    values[np.broadcast_to(body, grid.shape)] = FAT
    values[np.broadcast_to(wall, grid.shape)] = MUSCLE
    inner_r, inner_a = half_r - fat - 16, half_a - fat - 14
    lungs = np.zeros(grid.shape, dtype=bool)
    for side in (-1, 1):
        centre = side * inner_r * 0.56 * vary[2 + side]
        lungs |= ((r - centre) / (inner_r * 0.44)) ** 2 + ((a + 4) / (inner_a * 0.95)) ** 2 + 0 * s < 1
        # The dome of the diaphragm, from below.
        top = -chosen.size_mm[2] / 2 + generator.uniform(0, 35)
        lungs &= ~(((r - centre) ** 2 + a**2 + (s - top + 80) ** 2 < 80**2) & (r * side > 0))
    heart = ((r + 18) / (52 * vary[5])) ** 2 + ((a - 25) / (42 * vary[6])) ** 2 + ((s + 25) / (55 * vary[7])) ** 2 < 1
    lungs &= ~heart
    values[lungs] = LUNG + generator.uniform(-40, 40)
    # Dependent lung is denser.
    slope = generator.uniform(0.0, 0.6)
    values[lungs] -= np.broadcast_to(slope * a, grid.shape)[lungs].astype(np.float32)
    _bones(values, r, a, s, (inner_r, inner_a), generator)
    open_lung = lungs & (values < -400)
    thick = _vessels(values, open_lung, grid, generator, chosen.vessels, inner_r)
    values = ndimage.gaussian_filter(values, 0.5)
    grain = ndimage.gaussian_filter(generator.normal(size=grid.shape).astype(np.float32), 0.6)
    values += np.float32(chosen.noise_hu) * grain / grain.std()
    volume = Volume(np.maximum(values, -1024).astype(np.float32), grid, modality="CT", unit="[hnsf'U]", name="phantom")
    return Background(volume, open_lung & ~thick, f"phantom {seed}")


def _line(grid: Geometry, axis: int) -> FloatArray:
    return np.asarray(grid.origin[axis] + np.arange(grid.size[axis]) * grid.spacing[axis])


def _bones(
    values: npt.NDArray[np.float32], r: FloatArray, a: FloatArray, s: FloatArray, inner: tuple[float, float],
    generator: np.random.Generator,
) -> None:  # fmt: skip
    """Paint spine, sternum and ribs that run forward and down."""
    inner_r, inner_a = inner
    spine = (r / 17) ** 2 + ((a + inner_a + 2) / 19) ** 2 + 0 * s < 1
    values[spine] = 0.7 * BONE
    sternum = (np.abs(r) < 18) & (np.abs(a - inner_a - 4) < 5) & (np.abs(s) < 1e9)
    values[sternum] = BONE
    shell = (r / inner_r) ** 2 + (a / inner_a) ** 2
    phase = s + 0.35 * a + generator.uniform(0, 26)
    ribs = (shell > 1.02) & (shell < 1.18) & (np.abs((phase % 26) - 13) < 5) & (np.abs(r) > 20)
    values[ribs] = BONE


def _vessels(
    values: npt.NDArray[np.float32], lungs: npt.NDArray[np.bool_], grid: Geometry, generator: np.random.Generator,
    trees: int, inner_r: float,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Paint branching tubes from both hila into the lungs, and return the voxels of the thicker ones."""
    thick = np.zeros(grid.shape, dtype=bool)
    if not trees:
        return thick
    share = np.zeros(grid.shape, dtype=np.float32)
    length = grid.spacing[2] * grid.shape[0]
    for side in (-1, 1):
        for _ in range(trees):
            start = np.array(
                [side * 0.2 * inner_r, generator.uniform(-20, 10), generator.uniform(-0.45, 0.45) * length]
            )
            aim = np.array([side * 1.0, generator.uniform(-1.2, 1.2), generator.uniform(-0.9, 0.9)])
            _grow(share, thick, lungs, grid, generator, start, aim / np.linalg.norm(aim), generator.uniform(2.2, 4.2))
    inside = lungs & (share > 0)
    values[inside] += (BLOOD - values[inside]) * share[inside]
    return thick


def _grow(
    share: npt.NDArray[np.float32], thick: npt.NDArray[np.bool_], lungs: npt.NDArray[np.bool_], grid: Geometry,
    generator: np.random.Generator, start: FloatArray, aim: FloatArray, radius: float,
) -> None:  # fmt: skip
    """Grow one tree, without recursion: each branch is a wandering line of balls that ends in two thinner ones."""
    todo = [(start, aim, radius, 0)]
    while todo:
        point, direction, thickness, depth = todo.pop()
        for _ in range(int(generator.uniform(10, 30) / STEP_MM)):
            point = point + STEP_MM * direction
            direction = direction + generator.normal(size=3) * 0.12
            direction /= np.linalg.norm(direction)
            i, j, k = np.round(grid.to_ijk(point)).astype(int)
            if not (0 <= k < grid.shape[0] and 0 <= j < grid.shape[1] and 0 <= i < grid.shape[2]):
                break
            _ball(share, thick, grid, point, thickness)
            if depth and not lungs[k, j, i]:
                break
        else:
            if thickness * 0.72 > 0.45 and depth < 7:
                for _ in range(2):
                    turn = direction + generator.normal(size=3) * 0.55
                    turn /= np.linalg.norm(turn)
                    todo.append((point, turn, thickness * generator.uniform(0.62, 0.82), depth + 1))


def _ball(
    share: npt.NDArray[np.float32], thick: npt.NDArray[np.bool_], grid: Geometry, centre: FloatArray, radius: float
) -> None:
    """Paint a ball by the share of a voxel that a border through it leaves."""
    spacing = np.asarray(grid.spacing)
    ijk = grid.to_ijk(centre)
    first = np.maximum(np.ceil(ijk - radius / spacing - 1), 0).astype(int)
    last = np.minimum(np.floor(ijk + radius / spacing + 1) + 1, grid.size).astype(int)
    if (first >= last).any():
        return
    i, j, k = ((np.arange(a, b) - x) * d for a, b, x, d in zip(first, last, ijk, spacing, strict=True))
    distance = np.sqrt(k[:, None, None] ** 2 + j[:, None] ** 2 + i**2)
    voxel = float(np.prod(spacing) ** (1 / 3))
    # Thinner than a voxel: as bright as its cross-section's share of the voxel's.
    full = min(1.0, np.pi * radius**2 / voxel**2)
    part = np.clip(0.5 + (max(radius, voxel / 2) - distance) / voxel, 0, full)
    box = slice(first[2], last[2]), slice(first[1], last[1]), slice(first[0], last[0])
    share[box] = np.maximum(share[box], part)
    if radius > 1.5:
        thick[box] |= distance < radius
