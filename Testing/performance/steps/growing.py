"""Region growing from one seed in the phantom's soft tissue."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.csgraph  # noqa: F401 - the warm-up image holds no seed in range, so nothing else imports it before

from medai.core.geometry import Geometry
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


CASES = [
    {
        "name": "Connected threshold",
        "ours": ours("connected_threshold", lower=LOWER, upper=UPPER),
        "peers": {"SimpleITK": sitk_connected, "scikit-image": skimage_flood, "SciPy": scipy_label},
    },
]
