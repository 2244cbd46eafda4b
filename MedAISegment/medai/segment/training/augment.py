"""Patches for one step: crop, pad and change at random, by MONAI's transforms, repeatable from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .recipe import Recipe


def patch_transform(recipe: Recipe, seed: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a MONAI ``Compose`` from ``{"image", "classes"}`` (1, K, J, I) to a random patch of the recipe's size.

    Images are padded with 0, which is their mean after normalisation; classes with 0, the background.

    Parameters
    ----------
    seed : int
        Decides all random numbers; two transforms of one seed do the same.
    """
    from monai.transforms import (
        Compose,
        RandAdjustContrastd,
        RandAffined,
        RandBiasFieldd,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
        RandSimulateLowResolutiond,
        RandSpatialCropd,
        SpatialPadd,
    )

    a = recipe.augment
    both = ("image", "classes")
    angle = float(np.deg2rad(a.rotate_deg))
    steps = [
        SpatialPadd(both, recipe.patch),
        RandSpatialCropd(both, recipe.patch, random_size=False),
        RandAffined(
            both, prob=a.affine, rotate_range=[angle] * 3, scale_range=[a.scale] * 3, translate_range=[a.translate] * 3,
            mode=("bilinear", "nearest"), padding_mode="zeros",
        ),
        RandGaussianNoised("image", prob=a.noise, std=0.15),
        RandGaussianSmoothd("image", prob=a.smooth, sigma_x=(0.3, 0.9), sigma_y=(0.3, 0.9), sigma_z=(0.3, 0.9)),
        RandSimulateLowResolutiond("image", prob=a.coarse, zoom_range=(0.5, 1.0)),
        RandBiasFieldd("image", prob=a.bias, degree=2, coeff_range=(-0.15, 0.15)),
        RandScaleIntensityd("image", prob=a.brightness, factors=0.25),
        RandAdjustContrastd("image", prob=a.contrast, gamma=(0.7, 1.5)),
    ]  # fmt: skip
    return Compose(steps).set_random_state(seed=seed)  # type: ignore[no-any-return]
