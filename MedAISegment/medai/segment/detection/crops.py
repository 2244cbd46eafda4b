"""Crops of a fixed size around boxes: what the mask stage reads, in training and at work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import FloatArray, Geometry
from medai.core.resample import resample_array
from medai.core.volume import Volume

from ..inference.prepare import FloatImage, PrepareSettings
from ..inference.prepared import prepare
from .frames import boxes_between, kji
from .manifest import MaskEntry
from .recipe import DetectorRecipe
from .result import Detection
from .samples import Labelled, Scene, Source, WindowSamples, box_around, cut_window, varied

MARGIN_MM = 4.0
TRIES = 30
"""Draws of a scene until one holds a finding with a mask."""


def crop_around(
    volume: Volume, centre_ras: npt.ArrayLike, settings: PrepareSettings, entry: MaskEntry
) -> tuple[FloatImage, Geometry]:
    """Return a cube of the image around a point as the mask stage reads it, shape (1, n, n, n), and its grid.

    Outside the image it is 0.  Only the part of the image that is needed is resampled.
    """
    spacing = entry.spacing_mm
    # An oblique image's axes reach further than its cube's.
    reach = entry.size * spacing / 2 + MARGIN_MM + max(volume.geometry.spacing)
    box = box_around(volume.geometry, centre_ras, reach)
    part = volume.crop(
        (box[0].start, box[1].start, box[2].start),
        (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start),
    )
    own = settings.model_copy(update={"spacing": (spacing,) * 3, "crop": "none"})
    prepared = prepare(part, own)
    middle = prepared.grid.to_ijk(centre_ras)[::-1]
    start = np.round(middle - (entry.size - 1) / 2).astype(int)
    shape = (entry.size,) * 3
    k, j, i = (int(n) for n in start)
    return cut_window(prepared.array, start, shape), prepared.grid.crop((k, j, i), shape)


def with_box(crop: FloatImage, box: FloatArray, box_grid: Geometry, grid: Geometry) -> FloatImage:
    """Add a channel that is 1 inside the box (6, I, J, K of both corners) and 0 outside: which finding is meant."""
    low_high = kji(boxes_between(box[None], box_grid, grid))[0]
    inside = np.ones(grid.shape, dtype=bool)
    for axis in range(3):
        places = np.arange(grid.shape[axis]) + 0.5
        shape = [1, 1, 1]
        shape[axis] = -1
        inside &= ((places >= low_high[axis]) & (places <= low_high[axis + 3])).reshape(shape)
    return np.concatenate([crop, inside[None].astype(np.float32)])


class CropSamples:
    """Draws crops around true boxes that are moved and scaled at random, with the mask of the finding."""

    def __init__(self, sources: Sequence[Source], recipe: DetectorRecipe) -> None:
        for source in sources:
            if isinstance(source, Labelled) and source.truth.masks is None:
                raise InputError("A mask stage needs masks of the findings, and a scan has none.")
        assert recipe.mask is not None
        self.recipe, self.entry = recipe, recipe.mask
        self._windows = WindowSamples(sources, recipe)
        self._kept: dict[int, tuple[FloatImage, npt.NDArray[np.bool_]]] = {}

    def digest(self) -> str:
        """Return a checksum of the scans and of what is known about them."""
        return self._windows.digest()

    def sample(self, epoch: int, position: int) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
        """Return the input (2, n, n, n) and the mask (n, n, n).

        Raises
        ------
        InputError
            If no scan holds a finding.
        """
        seed, distinct = self.recipe.seed, self.recipe.windows.distinct
        generator = np.random.default_rng(np.random.SeedSequence([seed, 5, epoch, position]))
        if distinct:
            number = int(generator.integers(distinct))
            if number not in self._kept:
                self._kept[number] = self._drawn(np.random.SeedSequence([seed, 6, number]))
            both, mask = self._kept[number]
        else:
            both, mask = self._drawn(np.random.SeedSequence([seed, 2, epoch, position]))
        axes = tuple(axis for axis in range(3) if generator.uniform() < 0.5)
        both = np.flip(both, tuple(axis + 1 for axis in axes))
        return np.ascontiguousarray(both), np.ascontiguousarray(np.flip(mask, axes))

    def _drawn(self, seed: np.random.SeedSequence) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
        generator = np.random.default_rng(seed)
        reach = self.entry.size * self.entry.spacing_mm / 2 + 2 * MARGIN_MM
        for _ in range(TRIES):
            scene = self._windows.scene(generator, reach, (1, 1), near_mm=MARGIN_MM)
            items = [item for item in scene.truth.items if item.mask_label is not None]
            if items:
                break
        else:
            raise InputError("None of the training scans holds a finding with a mask.")
        apart = [float(np.linalg.norm(np.asarray(item.centre_ras) - scene.centre_ras)) for item in items]
        item = items[int(np.argmin(apart))]
        low, high = np.asarray(item.low), np.asarray(item.high)
        size = (high - low) * generator.uniform(0.85, 1.2, 3)
        middle = (low + high) / 2 + (high - low) * generator.uniform(-0.15, 0.15, 3)
        box = np.concatenate([middle - size / 2, middle + size / 2])
        centre = scene.volume.geometry.to_ras(middle - 0.5)
        volume = varied(scene.volume, self.recipe, generator)
        crop, grid = crop_around(volume, centre, self.recipe.prepare, self.entry)
        both = with_box(crop, box, scene.volume.geometry, grid)
        mask = _mask(scene, item, grid)
        return both, mask


def _mask(scene: Scene, item: Detection, grid: Geometry) -> npt.NDArray[np.bool_]:
    assert item.mask_label is not None
    result = np.zeros(grid.shape, dtype=bool)
    if scene.nodules:
        # The body itself, which the scan's own voxels show only coarsely.
        covered = scene.nodules[item.mask_label - 1].coverage(grid)
        if covered is not None:
            box, share = covered
            result[box] = share >= 0.5
        return result
    assert scene.truth.masks is not None
    own = (scene.truth.masks.array == item.mask_label).astype(np.float32)
    return np.asarray(resample_array(own, scene.volume.geometry, grid, "linear") >= 0.5)
