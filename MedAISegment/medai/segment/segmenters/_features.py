"""Intensity, position and texture of each voxel as one vector, for clusters that look at more than the intensity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..slabs import for_slabs, with_halo
from ._classes import ClassesSettings, Mask

Vectors = npt.NDArray[np.float32]
SAMPLE = 200_000
"""Voxels that clusters are fitted to; all voxels are labelled."""
SLAB_VOXELS = 1 << 19


class FeaturesSettings(ClassesSettings):
    """Classes by intensity alone, or with position and texture; or with neighbours."""

    position: float = Field(
        0.0,
        ge=0,
        le=10,
        title="Position",
        description="Weight of the position against the intensity; 0 leaves it out. Classes then stay together.",
    )
    texture: float = Field(
        0.0,
        ge=0,
        le=10,
        title="Texture",
        description="Weight of the local mean and standard deviation against the intensity; 0 leaves them out.",
    )
    texture_mm: float = Field(
        2.0,
        gt=0,
        le=50,
        title="Texture radius",
        description="Half the width of the box of the local mean and standard deviation.",
        json_schema_extra={"unit": "mm"},
    )
    smoothness: float = Field(
        0.0,
        ge=0,
        le=10,
        title="Smoothness",
        description="Cost of a neighbour with another label; 0 looks at each voxel alone, 0.3 removes specks.",
    )

    @model_validator(mode="after")
    def _one_way_to_look_around(self) -> FeaturesSettings:
        if self.smoothness and (self.position or self.texture):
            raise ValueError("smoothness goes with intensity alone: set position and texture to 0")
        return self


class Features:
    """Vectors of an image's voxels: intensity, then local mean and SD, then position; each scaled to SD 1 and weighted.

    The position along each axis is in mm divided by the largest SD of the three, so that distances are the same in
    every direction.  The local mean and SD are taken over a box (``texture_mm`` to each side, at least one voxel along
    axes that have several), mirrored at the border.

    Parameters
    ----------
    value : Volume
        Scalar.
    mask : array of bool, shape (K, J, I), or None
        Where vectors are wanted.
    settings : FeaturesSettings
        Weights and radius.
    """

    def __init__(self, value: Volume, mask: Mask | None, settings: FeaturesSettings) -> None:
        self.array = value.array
        self.mask = mask
        self.spacing = value.geometry.spacing_kji
        self.texture = settings.texture > 0
        self.position = settings.position > 0
        self.radius = [
            0 if n == 1 else min(max(1, round(settings.texture_mm / s)), n - 1)
            for n, s in zip(self.array.shape, self.spacing, strict=True)
        ]
        self.slab = max(1, SLAB_VOXELS // max(1, self.array[0].size))
        self.weights = np.array(
            [1.0] + [settings.texture] * 2 * self.texture + [settings.position] * 3 * self.position, dtype=np.float32
        )
        self.shift = np.zeros(len(self.weights), dtype=np.float32)
        self.scale = np.ones(len(self.weights), dtype=np.float32)

    def fit(self, count: int, progress: ProgressFn, cancel: CancelToken, message: str) -> Vectors:
        """Find the scales and return the scaled vectors of about ``SAMPLE`` of the ``count`` voxels with a value."""

        def part(start: int, stop: int) -> Vectors:
            vectors, _ = self._raw(start, stop)
            wanted = min(len(vectors), -(-len(vectors) * SAMPLE // max(count, 1)))
            # Golden-section steps: even, repeatable, and never in step with the rows of the image.
            places = np.sort((np.arange(wanted) * 0.6180339887498949 % 1.0 * len(vectors)).astype(np.int64))
            return np.ascontiguousarray(vectors[places])

        parts = for_slabs(len(self.array), part, slab=self.slab, progress=progress, cancel=cancel, message=message)
        sample = np.concatenate(parts).astype(np.float64)
        shift, scale = sample.mean(axis=0), sample.std(axis=0)
        if self.position:
            scale[-3:] = scale[-3:].max()
        scale[scale == 0] = 1.0
        self.shift, self.scale = shift.astype(np.float32), (self.weights / scale).astype(np.float32)
        return ((sample - self.shift) * self.scale).astype(np.float32)

    def scaled_intensity(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return intensities as they stand in the vectors."""
        return np.asarray((values - self.shift[0]) * self.scale[0])

    def intensity(self, scaled: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return intensities from what stands in the vectors."""
        return np.asarray(scaled / self.scale[0] + self.shift[0])

    def assign(self, classify: Any, progress: ProgressFn, cancel: CancelToken, message: str) -> npt.NDArray[np.uint8]:
        """Return ``classify(vectors)`` (labels of n vectors) of every voxel in the mask, 0 elsewhere."""
        result = np.zeros(self.array.shape, dtype=np.uint8)

        def part(start: int, stop: int) -> None:
            vectors, known = self._raw(start, stop)
            if len(vectors):
                result[start:stop][known] = classify((vectors - self.shift) * self.scale)

        for_slabs(len(self.array), part, slab=self.slab, progress=progress, cancel=cancel, message=message)
        return result

    def _raw(self, start: int, stop: int) -> tuple[Vectors, Mask]:
        halo = self.radius[0] if self.texture else 0
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is left out
            wide = with_halo(self.array, start, stop, halo).astype(np.float32)
        known = np.isfinite(wide[halo : halo + stop - start])
        if self.mask is not None:
            known &= self.mask[start:stop]
        columns = [wide[halo : halo + stop - start][known]]
        if self.texture:
            columns += [part[known] for part in self._texture(wide, halo)]
        if self.position:
            places = np.nonzero(known)
            columns += [
                ((p + (start if axis == 0 else 0)) * self.spacing[axis]).astype(np.float32)
                for axis, p in enumerate(places)
            ]
        return np.stack(columns, axis=1), known

    def _texture(self, wide: npt.NDArray[np.float32], halo: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        from scipy.ndimage import uniform_filter

        finite = np.isfinite(wide)
        # A voxel without a value counts as the mean of the slab; squares of what is left lose fewest digits.
        centre = float(wide[finite].mean(dtype=np.float64)) if finite.any() else 0.0
        values = np.where(finite, wide - np.float32(centre), np.float32(0)).astype(np.float64)
        size = [2 * r + 1 for r in self.radius]
        cut = slice(halo, len(wide) - halo)
        mean = uniform_filter(values, size, mode="reflect")[cut]
        square = uniform_filter(np.square(values, out=values), size, mode="reflect")[cut]
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        return (mean + centre).astype(np.float32), spread.astype(np.float32)
