"""Samples from images with label maps: random patches of prepared cases, changed at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .augment import patch_transform
from .cases import Case
from .foreground import Places
from .recipe import Recipe
from .samples import Sample, digest_of, one_thread, order_of, seed_of


class PatchSamples:
    """Random patches of cases that are held in memory (or are memory maps).

    Parameters
    ----------
    cases : sequence of Case
        In the model's grid.
    """

    def __init__(self, cases: Sequence[Case], recipe: Recipe) -> None:
        self._cases, self._recipe = cases, recipe
        self._order: tuple[int, list[int]] = (-1, [])
        wanted = recipe.augment.foreground > 0
        self._places = (
            [Places(case.classes, seed_of(recipe.seed, 0, n)) for n, case in enumerate(cases)] if wanted else []
        )
        self.digest = digest_of((case.name, (case.image, case.classes)) for case in cases)

    def __len__(self) -> int:
        """Return the number of samples of one epoch."""
        return self._recipe.optimiser.samples_per_epoch or len(self._cases)

    def sample(self, epoch: int, position: int) -> Sample:
        """Return one changed patch: image float32 (C, K, J, I) and classes uint8 (K, J, I)."""
        seed = self._recipe.seed
        known, order = self._order
        if known != epoch:
            order = order_of(seed, epoch, len(self._cases), len(self))
            self._order = (epoch, order)
        case = self._cases[order[position]]
        own = seed_of(seed, epoch, position)
        # A transform of its own: threads that share one would take each other's random numbers.
        transform = patch_transform(self._recipe, own)
        image, classes = case.image if case.image.ndim == 4 else case.image[None], case.classes
        box = self._box(order[position], own)
        if box is not None:
            image, classes = image[(slice(None), *box)], classes[box]
        with one_thread():
            made = transform({"image": np.asarray(image), "classes": np.asarray(classes[None]).astype(np.float32)})
        return (
            np.ascontiguousarray(np.asarray(made["image"]), dtype=np.float32),
            np.ascontiguousarray(np.asarray(made["classes"])[0]).astype(np.uint8),
        )

    def _box(self, case: int, seed: int) -> tuple[slice, slice, slice] | None:
        """Return the part of a case around some foreground, for a share of the samples; None for a patch anywhere."""
        if not self._places:
            return None
        random = np.random.default_rng([seed, 1])
        if random.random() >= self._recipe.augment.foreground:
            return None
        return self._places[case].patch(self._recipe.patch, random)
