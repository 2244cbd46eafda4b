"""Region growing from one seed in the phantom's soft tissue."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.csgraph  # noqa: F401 - the warm-up image holds no seed in range, so nothing else imports it before

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS

SPACING = (0.8, 0.8, 1.0)
LOWER, UPPER = -30, 110


def seed_of(array: np.ndarray) -> tuple[int, int, int]:
    """Return the seed's voxel: right of the spine, in the middle slice, inside the soft tissue."""
    k, j, i = array.shape
    return (k // 2, int(j * 0.55), int(i * 0.45))


def ours(name: str, **settings: Any) -> Callable[[np.ndarray], Any]:
    def run(array: np.ndarray) -> Any:
        geometry = Geometry.from_spacing(array.shape, SPACING)
        ras = geometry.to_ras(np.array(seed_of(array)[::-1], dtype=float))
        seeds = [{"ras": [float(v) for v in ras], "segment": "Region"}]
        return SEGMENTERS.create(name).run(Volume(array, geometry), {"seeds": seeds, **settings})

    return run


def image(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    found = sitk.GetImageFromArray(array)
    found.SetSpacing(SPACING)
    return found


def sitk_connected(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.ConnectedThreshold(image(array), [seed_of(array)[::-1]], LOWER, UPPER)


def skimage_flood(array: np.ndarray) -> Any:
    from skimage.segmentation import flood

    inside = (array >= LOWER) & (array <= UPPER)
    return flood(inside.view(np.uint8), seed_of(array), connectivity=1)


def scipy_label(array: np.ndarray) -> Any:
    from scipy.ndimage import label

    found, _ = label((array >= LOWER) & (array <= UPPER))
    return found == found[seed_of(array)]


def sitk_neighbourhood(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.NeighborhoodConnected(image(array), [seed_of(array)[::-1]], LOWER - 70, UPPER + 70, [1, 1, 1])


def sitk_confidence(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.ConfidenceConnected(image(array), [seed_of(array)[::-1]], 4, 2.5, 1)


def skimage_tolerance(array: np.ndarray) -> Any:
    from skimage.segmentation import flood

    return flood(array, seed_of(array), tolerance=70, connectivity=1)


def sitk_marching(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    smooth = sitk.DiscreteGaussian(sitk.Cast(image(array), sitk.sitkFloat32), [1.0] * 3, 32, [0.01] * 3, True)
    steep = sitk.GradientMagnitude(smooth) / 30.0
    return sitk.FastMarching(1 / (1 + steep * steep), [seed_of(array)[::-1]], 1.0, 100.0) <= 100


def painted(array: np.ndarray) -> np.ndarray:
    """Return painted seeds: some in the soft tissue, and a frame of background."""
    seeds = np.zeros(array.shape, dtype=np.uint8)
    k, j, i = seed_of(array)
    seeds[k, j - 3 : j + 4, i - 3 : i + 4] = 1
    seeds[:, :4], seeds[:, -4:] = 2, 2
    return seeds


def grow_cut(array: np.ndarray) -> Any:
    geometry = Geometry.from_spacing(array.shape, SPACING)
    segments = (Segment(1, "Region"), Segment(2, "Background"))
    labels = LabelMap(painted(array), geometry, segments)
    return SEGMENTERS.create("grow_cut").run(Volume(array, geometry), labels=labels)


CASES = [
    {
        "name": "Connected threshold",
        "ours": ours("connected_threshold", lower=LOWER, upper=UPPER),
        "peers": {"SimpleITK": sitk_connected, "scikit-image": skimage_flood, "SciPy": scipy_label},
    },
    {
        "name": "Neighbourhood connected",
        "ours": ours("neighbourhood_connected", lower=LOWER - 70, upper=UPPER + 70),
        "peers": {"SimpleITK": sitk_neighbourhood},
    },
    {
        "name": "Confidence connected, 4 iterations",
        "ours": ours("confidence_connected", iterations=4, multiplier=2.5),
        "peers": {"SimpleITK": sitk_confidence},
    },
    {
        "name": "Flood with tolerance",
        "ours": ours("flood", tolerance=70),
        "peers": {"scikit-image": skimage_tolerance},
    },
    {
        "name": "Fast marching, 100 mm",
        "ours": ours("fast_marching", reach=100.0, edge=30.0),
        "peers": {"SimpleITK": sitk_marching},
    },
    {
        "name": "Grow-cut",
        "ours": grow_cut,
        "peers": {},
        "slices": 16,
    },
]
