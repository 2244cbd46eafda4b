"""Agreement of two label maps of 20 organs: Dice, HD95, ASSD and surface Dice of each.

Twenty ellipsoids fill much of the grid; the second label map has them moved and swollen a little.  The peers get the
same masks cut out by themselves, one label after the other, and make the same four numbers; what they lack is left out.
"""

from functools import lru_cache
from typing import Any

import numpy as np

LABELS = 20
SPACING = (1.0, 0.8, 0.8)
TOLERANCE_MM = 1.0


@lru_cache(maxsize=1)
def label_maps(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return two uint8 label arrays with 20 ellipsoids each."""
    rng = np.random.default_rng(3)
    pair = []
    for moved in (0.0, 0.02):
        array = np.zeros(shape, dtype=np.uint8)
        for label in range(LABELS):
            cell = np.array((label // 10, label // 5 % 2, label % 5))
            centre = (cell + 0.5) / (2, 2, 5) + rng.normal(0, moved / 2, 3)
            radius = np.array((0.22, 0.22, 0.09)) * (1 + rng.normal(0, moved))
            start = np.floor(np.clip((centre - radius) * shape, 0, None)).astype(int)
            stop = np.ceil(np.minimum((centre + radius) * shape + 1, shape)).astype(int)
            box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            grid = np.ogrid[box]
            inside = sum(((g / n - c) / r) ** 2 for g, n, c, r in zip(grid, shape, centre, radius, strict=True)) < 1
            array[box][inside] = label + 1
        pair.append(array)
    return pair[0], pair[1]


def ours(array: np.ndarray) -> Any:
    from medai.core.geometry import Geometry
    from medai.core.labelmap import LabelMap
    from medai.segment.evaluate import compare

    a, b = label_maps(array.shape)
    grid = Geometry.from_spacing(array.shape, SPACING[::-1])
    return compare(LabelMap(a, grid), LabelMap(b, grid), {"tolerance_mm": TOLERANCE_MM})


def monai(array: np.ndarray) -> Any:
    import torch
    from monai import metrics

    a, b = label_maps(array.shape)
    found = []
    for label in range(1, LABELS + 1):
        x, y = (torch.from_numpy(m == label)[None, None].float() for m in (a, b))
        given = {"include_background": True, "spacing": SPACING}
        found.append((
            metrics.compute_dice(x, y).item(),
            metrics.compute_hausdorff_distance(x, y, percentile=95, **given).item(),
            metrics.compute_average_surface_distance(x, y, symmetric=True, **given).item(),
            metrics.compute_surface_dice(x, y, class_thresholds=[TOLERANCE_MM], use_subvoxels=True, **given).item(),
        ))  # fmt: skip
    return found


def simpleitk(array: np.ndarray) -> Any:
    """Dice, HD (no percentile) and the mean of the two directed means; it has no surface Dice."""
    import SimpleITK as sitk

    a, b = (sitk.GetImageFromArray(m) for m in label_maps(array.shape))
    for image in (a, b):
        image.SetSpacing(SPACING[::-1])
    found = []
    for label in range(1, LABELS + 1):
        x, y = a == label, b == label
        overlap, distance = sitk.LabelOverlapMeasuresImageFilter(), sitk.HausdorffDistanceImageFilter()
        overlap.Execute(x, y)
        distance.Execute(x, y)
        found.append(
            (overlap.GetDiceCoefficient(), distance.GetHausdorffDistance(), distance.GetAverageHausdorffDistance())
        )
    return found


CASES = [
    {
        "name": "Evaluate 20 labels",
        "ours": ours,
        "peers": {"MONAI": monai, "SimpleITK (no surface Dice)": simpleitk},
        "slices": 64,
        "note": "Extra volumes are of the int16 image's size; the label maps are two of half that size.",
    }
]
