"""A synthetic nodule: an ellipsoid with a smooth random surface, whose share of any voxel can be worked out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from medai.core.geometry import FloatArray, Geometry

from ..boxes import Box
from .result import Triple

SAMPLES = 3
"""Points along each axis of a voxel at which it is asked whether it lies inside."""
WAVES = 6
DIRECTIONS = 800


@dataclass(frozen=True, eq=False)
class Nodule:
    """A star-shaped body.

    Its surface lies, in the direction u, at the ellipsoid's radius times ``exp(roughness * s(u))``, where s is a sum of
    a few smooth waves over the sphere.

    Parameters
    ----------
    centre_ras : tuple of float
        RAS mm.
    radii_mm : tuple of float
        Half axes of the ellipsoid.
    axes : array, shape (3, 3)
        Its axes in RAS as columns.
    roughness : float
        Standard deviation of the surface as a share of the radius; 0 is an exact ellipsoid.
    waves : array, shape (WAVES, 5)
        Direction (3), frequency and phase of each wave.
    value : float
        Of the nodule's material, in HU.
    """

    centre_ras: Triple
    radii_mm: Triple
    axes: FloatArray
    roughness: float
    waves: FloatArray
    value: float

    @classmethod
    def random(
        cls, generator: np.random.Generator, diameter_mm: float, elongation: float, roughness: float, value: float
    ) -> Nodule:
        """Draw a shape around the origin whose ellipsoid has the volume of a ball of the given diameter."""
        stretch = np.exp(generator.uniform(-1, 1, 3) * np.log(elongation) / 2)
        radii = diameter_mm / 2 * stretch / np.prod(stretch) ** (1 / 3)
        turned, upper = np.linalg.qr(generator.normal(size=(3, 3)))
        axes = turned * np.sign(np.diag(upper))
        directions = generator.normal(size=(WAVES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        numbers = np.stack([generator.uniform(1.5, 4.0, WAVES), generator.uniform(0, 2 * np.pi, WAVES)], axis=1)
        a, b, c = (float(r) for r in radii)
        waves = np.concatenate([directions, numbers], axis=1)
        return cls((0.0, 0.0, 0.0), (a, b, c), axes, roughness, waves, value)

    def at(self, centre_ras: npt.ArrayLike) -> Nodule:
        """Return the same body elsewhere."""
        r, a, s = (float(x) for x in np.asarray(centre_ras))
        return Nodule((r, a, s), self.radii_mm, self.axes, self.roughness, self.waves, self.value)

    def radius(self, directions: FloatArray) -> FloatArray:
        """Return the distance in mm from the centre to the surface along unit vectors in RAS, shape (..., 3)."""
        own = directions @ self.axes / np.asarray(self.radii_mm)
        smooth = np.cos(directions @ self.waves[:, :3].T * self.waves[:, 3] + self.waves[:, 4]).sum(axis=-1)
        # The sum of n cosines of random phase has the standard deviation sqrt(n / 2).
        height = self.roughness * smooth / np.sqrt(len(self.waves) / 2)
        return np.asarray(np.exp(height) / np.linalg.norm(own, axis=-1))

    @cached_property
    def surface(self) -> FloatArray:
        """Points of the surface in RAS mm, shape (DIRECTIONS, 3), spread evenly (a Fibonacci lattice)."""
        n = np.arange(DIRECTIONS) + 0.5
        z = 1 - 2 * n / DIRECTIONS
        turn = np.pi * (1 + 5**0.5) * n
        flat = np.sqrt(1 - z**2)
        directions = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)
        return np.asarray(self.centre_ras + directions * self.radius(directions)[:, None])

    @property
    def reach_mm(self) -> float:
        """Largest distance from the centre to the surface."""
        return float(np.linalg.norm(self.surface - np.asarray(self.centre_ras), axis=1).max())

    def extent(self, geometry: Geometry) -> tuple[FloatArray, FloatArray]:
        """Return the corners of its box along I, J, K in edge coordinates."""
        points = geometry.to_ijk(self.surface) + 0.5
        return points.min(axis=0), points.max(axis=0)

    def coverage(self, geometry: Geometry, margin_mm: float = 0.0) -> tuple[Box, FloatArray] | None:
        """Return the box of voxels it reaches and the share of each that lies inside; None outside the grid.

        Parameters
        ----------
        margin_mm : float
            The box is wider by this, for a blur that follows.
        """
        low, high = self.extent(geometry)
        more = margin_mm / np.asarray(geometry.spacing)
        first = np.maximum(np.floor(low - more), 0).astype(int)
        last = np.minimum(np.ceil(high + more), geometry.size).astype(int)
        if (first >= last).any():
            return None
        steps = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
        i, j, k = ((np.arange(a, b)[:, None] + steps).reshape(-1) for a, b in zip(first, last, strict=True))
        points = np.stack(np.meshgrid(k, j, i, indexing="ij")[::-1], axis=-1)
        offset = geometry.to_ras(points) - np.asarray(self.centre_ras)
        distance = np.linalg.norm(offset, axis=-1)
        near = (distance <= self.reach_mm) & (distance > 0)
        inside = distance == 0
        directions = offset[near] / distance[near][:, None]
        inside[near] = distance[near] <= self.radius(directions)
        a, b, c = (high - low for low, high in zip(first[::-1], last[::-1], strict=True))
        share = inside.reshape(a, SAMPLES, b, SAMPLES, c, SAMPLES).mean(axis=(1, 3, 5))
        box = slice(int(first[2]), int(last[2])), slice(int(first[1]), int(last[1])), slice(int(first[0]), int(last[0]))
        return box, share
