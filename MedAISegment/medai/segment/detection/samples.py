"""Training windows: a place in a scan, nodules planted there or findings that are there, the network's input, boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import FloatArray, Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume

from ..boxes import Box
from ..inference.prepare import FloatImage, PrepareSettings
from ..inference.prepared import prepare
from .frames import boxes_between, clipped, flipped, kji
from .nodules import Nodule
from .phantom import Background
from .recipe import DetectorRecipe
from .result import Detection, Detections
from .synthesis import plant


@dataclass(frozen=True, eq=False)
class Labelled:
    """A scan with its findings (and their masks, if a mask stage is to be trained)."""

    volume: Volume
    truth: Detections
    name: str = ""


@dataclass(frozen=True, eq=False)
class Window:
    """One training sample.

    Parameters
    ----------
    image : array of float32, shape (C, K, J, I)
    boxes : array, shape (N, 6)
        Corners along K, J, I in edge coordinates.
    labels : array of int, shape (N,)
        Classes from 0.
    """

    image: FloatImage
    boxes: FloatArray
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scene:
    """A part of a scan around a point, with what is there."""

    volume: Volume
    truth: Detections
    centre_ras: FloatArray
    nodules: tuple[Nodule, ...] = ()


Source = Background | Labelled


class WindowSamples:
    """Draws windows; each depends on the seed, the epoch and its position only, so that a training can be resumed."""

    def __init__(self, sources: Sequence[Source], recipe: DetectorRecipe) -> None:
        if not sources:
            raise InputError("There are no scans to train on.")
        self.recipe, self.sources = recipe, tuple(sources)
        self._prepare = recipe.prepare.model_copy(update={"crop": "none"})
        self._spots = [_spots(source) for source in self.sources]
        self._kept: dict[int, Window] = {}

    def __len__(self) -> int:
        return self.recipe.optimiser.steps * self.recipe.optimiser.batch

    def digest(self) -> str:
        """Return a checksum of the scans and of what is known about them."""
        found = hashlib.sha256()
        for source in self.sources:
            found.update(source.volume.digest().encode("ascii"))
            if isinstance(source, Background):
                found.update(np.packbits(source.place).tobytes())
            else:
                found.update(source.truth.boxes().tobytes())
                found.update(source.truth.masks.digest().encode("ascii") if source.truth.masks is not None else b"")
        return found.hexdigest()

    def scene(
        self, generator: np.random.Generator, reach_mm: float, count: tuple[int, int], near_mm: float | None = None
    ) -> Scene:
        """Return a part of a random scan, at least ``reach_mm`` around a point, as far as the scan reaches.

        With ``near_mm``, the point is one where something is or may be, and nodules are planted that near to it.
        """
        number = int(generator.integers(len(self.sources)))
        source, spots = self.sources[number], self._spots[number]
        geometry = source.volume.geometry
        if len(spots) and (near_mm is not None or generator.uniform() < self.recipe.windows.inside):
            ijk = spots[generator.integers(len(spots))] + generator.uniform(-0.5, 0.5, 3)
        else:
            ijk = generator.uniform(0, 1, 3) * np.asarray(geometry.size) - 0.5
        centre = geometry.to_ras(ijk)
        if near_mm is None:
            centre = centre + generator.uniform(-0.35, 0.35, 3) * reach_mm
        box = box_around(geometry, centre, reach_mm)
        part = source.volume.crop((box[0].start, box[1].start, box[2].start), _sizes(box))
        if isinstance(source, Labelled):
            return Scene(part, _cropped(source.truth, part.geometry, box), centre)
        place = source.place[box]
        if near_mm is not None:
            near = np.zeros_like(place)
            within = box_around(part.geometry, centre, near_mm)
            near[within] = place[within]
            place = near
        if count[1] and place.any():
            settings = self.recipe.synthesis.model_copy(update={"count": count})
            planted = plant(part, place, settings, seed=tuple(int(n) for n in generator.integers(0, 2**32, 2)))
            return Scene(planted.volume, planted.truth, centre, planted.nodules)
        return Scene(part, Detections((), part.geometry), centre)

    def sample(self, epoch: int, position: int) -> Window:
        """Return one window, mirrored at random."""
        recipe = self.recipe
        generator = np.random.default_rng(np.random.SeedSequence([recipe.seed, 3, epoch, position]))
        if recipe.windows.distinct:
            number = int(generator.integers(recipe.windows.distinct))
            if number not in self._kept:
                self._kept[number] = self._drawn(np.random.SeedSequence([recipe.seed, 4, number]))
            drawn = self._kept[number]
        else:
            drawn = self._drawn(np.random.SeedSequence([recipe.seed, 1, epoch, position]))
        axes = tuple(axis for axis in range(3) if generator.uniform() < 0.5)
        image = np.ascontiguousarray(np.flip(drawn.image, tuple(axis + 1 for axis in axes)))
        return Window(image, flipped(drawn.boxes, axes, recipe.window), drawn.labels)

    def _drawn(self, seed: np.random.SeedSequence) -> Window:
        recipe, generator = self.recipe, np.random.default_rng(seed)
        reach = max(n * s for n, s in zip(recipe.window, spacing_kji(recipe.prepare), strict=True)) / 2
        scene = self.scene(generator, reach, recipe.windows.count)
        image = varied(scene.volume, recipe, generator)
        prepared = prepare(image, self._prepare)
        middle = prepared.grid.to_ijk(scene.centre_ras)[::-1]
        start = np.round(middle - np.asarray(recipe.window) / 2).astype(int)
        window = cut_window(prepared.array, start, recipe.window)
        boxes = kji(boxes_between(scene.truth.boxes(), scene.volume.geometry, prepared.grid)) - np.tile(start, 2)
        boxes, kept = clipped(boxes, recipe.window)
        labels = np.array([item.label - 1 for item in scene.truth.items], dtype=np.int64)[kept]
        return Window(window, boxes, labels)


def spacing_kji(settings: PrepareSettings) -> tuple[float, float, float]:
    """Return the model's voxel size along K, J, I in mm."""
    assert settings.spacing is not None
    i, j, k = settings.spacing
    return k, j, i


def box_around(geometry: Geometry, centre_ras: npt.ArrayLike, reach_mm: float) -> Box:
    """Return the voxels within ``reach_mm`` of a point along each axis, inside the image; at least one along each."""
    middle = geometry.to_ijk(centre_ras)[::-1]
    reach = reach_mm / np.asarray(geometry.spacing_kji)
    size = np.asarray(geometry.shape)
    low = np.clip(np.floor(middle - reach).astype(int), 0, size - 1)
    high = np.clip(np.ceil(middle + reach).astype(int) + 1, low + 1, size)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, j, i


def cut_window(array: FloatImage, start: npt.NDArray[np.int_], shape: tuple[int, int, int]) -> FloatImage:
    """Return a window (C, K, J, I) of an array; zeros outside."""
    result = np.zeros((array.shape[0], *shape), dtype=np.float32)
    low = np.maximum(start, 0)
    high = np.minimum(start + np.asarray(shape), array.shape[1:])
    if (low < high).all():
        target = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        source = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        result[(slice(None), *target)] = array[(slice(None), *source)]
    return result


def varied(volume: Volume, recipe: DetectorRecipe, generator: np.random.Generator) -> Volume:
    """Change a scan's values a little: another scanner's offset, scale and noise."""
    w = recipe.windows
    values = (volume.array.astype(np.float32) + 1000) * np.float32(1 + generator.uniform(-1, 1) * w.scale) - 1000
    values += np.float32(generator.uniform(-1, 1) * w.shift_hu)
    noise = generator.standard_normal(values.shape, dtype=np.float32)
    return volume.replace(array=values + np.float32(generator.uniform() * w.noise_hu) * noise)


def _spots(source: Source) -> FloatArray:
    """Return index coordinates (I, J, K) of places where something is or may be."""
    if isinstance(source, Background):
        return np.argwhere(source.place)[:, ::-1].astype(np.float64)
    return np.asarray(source.volume.geometry.to_ijk(source.truth.centres_ras()))


def _cropped(truth: Detections, geometry: Geometry, box: Box) -> Detections:
    """Return the findings that reach into a part of a scan, with their masks there."""
    boxes = boxes_between(truth.boxes(), truth.geometry, geometry)
    _, kept = clipped(boxes, geometry.size, visible=1e-6)
    items = tuple(
        Detection.of(
            geometry, row[:3], row[3:], item.score, label=item.label, name=item.name, mask_label=item.mask_label
        )
        for row, item, stays in zip(boxes, truth.items, kept, strict=True)
        if stays
    )
    masks = None
    if truth.masks is not None:
        masks = LabelMap(truth.masks.array[box], geometry, truth.masks.segments)
    return Detections(items, geometry, masks=masks)


def _sizes(box: Box) -> tuple[int, int, int]:
    k, j, i = (part.stop - part.start for part in box)
    return k, j, i
