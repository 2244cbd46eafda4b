"""What a training reads: slices, each changed at random from its own seed, so that a resumed run sees the same ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .dataset import Picture
from .settings import AugmentSettings, MaskRcnnRecipe
from .targets import Targets, targets_of

Image = npt.NDArray[np.float32]


class PlaneSamples:
    """The slices of all pictures: each with an instance once an epoch, and some of the empty ones.

    ``sample(epoch, position)`` depends on its two numbers, the recipe and the pictures only.
    """

    def __init__(self, pictures: Sequence[Picture], recipe: MaskRcnnRecipe) -> None:
        self._pictures, self._recipe = pictures, recipe
        places = [(n, k) for n, picture in enumerate(pictures) for k in range(len(picture.instances))]
        self._filled = [(n, k) for n, k in places if len(self._targets(n, k))]
        self._empty = [(n, k) for n, k in places if not pictures[n].instances[k].any()]
        share = recipe.optimiser.empty_share
        self._added = min(len(self._empty), math.ceil(share * len(self._filled)))

    def __len__(self) -> int:
        return len(self._filled) + self._added

    def sample(self, epoch: int, position: int) -> tuple[Image, Targets]:
        """Return a slice (3, rows, columns), float32, from 0 to 1, and its instances."""
        order = np.random.default_rng([self._recipe.seed, epoch])
        chosen = self._filled + [self._empty[n] for n in order.permutation(len(self._empty))[: self._added]]
        number, k = chosen[order.permutation(len(chosen))[position]]
        random = np.random.default_rng([self._recipe.seed, epoch, position])
        return augmented(self._pictures[number].values[k], self._targets(number, k), self._recipe.augment, random)

    def _targets(self, number: int, k: int) -> Targets:
        picture = self._pictures[number]
        return targets_of(picture.instances[k], picture.classes, self._recipe.smallest_instance)


def channels_first(values: npt.NDArray[np.float32]) -> Image:
    """Return a slice (rows, columns) or (rows, columns, 3) as (3, rows, columns)."""
    colour = np.moveaxis(values, -1, 0) if values.ndim == 3 else np.broadcast_to(values, (3, *values.shape))
    return np.ascontiguousarray(colour)


def augmented(
    values: npt.NDArray[np.float32], targets: Targets, settings: AugmentSettings, random: np.random.Generator
) -> tuple[Image, Targets]:
    """Flip and turn a slice with its instances, and change its brightness and contrast and add noise.

    Parameters
    ----------
    values : array, shape (rows, columns) or (rows, columns, 3), float32
        From 0 to 1, and so is the result (3, rows, columns).
    """
    image, masks, boxes = channels_first(values), targets.masks, targets.boxes.copy()
    if random.random() < settings.turn:
        image, masks, boxes = image.swapaxes(1, 2), masks.swapaxes(1, 2), boxes[:, [1, 0, 3, 2]]
    for axis, low, high in ((1, 1, 3), (2, 0, 2)):
        if random.random() < settings.flip:
            image, masks = np.flip(image, axis), np.flip(masks, axis)
            boxes[:, [low, high]] = image.shape[axis] - boxes[:, [high, low]]
    factor = 1 + settings.contrast * random.uniform(-1, 1)
    changed = 0.5 + factor * (image - 0.5) + settings.brightness * random.uniform(-1, 1)
    noise = settings.noise * random.uniform(0, 1) * random.standard_normal(image.shape, dtype=np.float32)
    result = np.clip(changed + noise, 0, 1).astype(np.float32)
    return np.ascontiguousarray(result), Targets(boxes, np.ascontiguousarray(masks), targets.classes)
