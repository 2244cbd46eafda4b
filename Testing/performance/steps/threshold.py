"""Global thresholds from the histogram, and local ones."""

from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS


def ours(name: str, **settings: Any) -> Any:
    def run(array: np.ndarray) -> Any:
        volume = Volume(array, Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0)))
        return SEGMENTERS.create(name).run(volume, settings)

    return run


def simpleitk(name: str) -> Any:
    def run(array: np.ndarray) -> Any:
        import SimpleITK as sitk

        method = getattr(sitk, f"{name}ThresholdImageFilter")()
        method.SetInsideValue(0)
        method.SetOutsideValue(1)
        method.SetNumberOfHistogramBins(4096)
        return method.Execute(sitk.GetImageFromArray(array))

    return run


def skimage(name: str) -> Any:
    def run(array: np.ndarray) -> Any:
        from skimage import filters

        return array >= getattr(filters, f"threshold_{name}")(array)

    return run


def skimage_local(method: str, block: tuple[int, int, int]) -> Any:
    def run(array: np.ndarray) -> Any:
        from skimage.filters import threshold_local

        return array > threshold_local(array.astype(np.float32), block, method)

    return run


def skimage_sauvola(array: np.ndarray) -> Any:
    from skimage.filters import threshold_sauvola

    return array > threshold_sauvola(array, (15, 15, 15), r=1000.0)


GLOBAL = {
    "otsu": ("Otsu", "otsu"),
    "li": ("Li", "li"),
    "yen": ("Yen", "yen"),
    "triangle": ("Triangle", "triangle"),
    "isodata": ("IsoData", "isodata"),
    "minimum_error": ("KittlerIllingworth", None),
}
CASES: list[dict[str, Any]] = [
    {
        "name": f"{itk} threshold",
        "ours": ours("threshold", method=method),
        "peers": {"SimpleITK": simpleitk(itk), **({"scikit-image": skimage(other)} if other else {})},
    }
    for method, (itk, other) in GLOBAL.items()
]
CASES += [
    {
        "name": "Local threshold, Gaussian, 2D, 15 voxels",
        "ours": ours("local_threshold", method="gaussian", block_mm=15.0),
        "peers": {"scikit-image": skimage_local("gaussian", (1, 15, 15))},
    },
    {
        "name": "Local threshold, mean, 3D, 15 voxels",
        "ours": ours("local_threshold", method="mean", dimensions="3D", block_mm=15.0),
        "peers": {"scikit-image": skimage_local("mean", (15, 15, 15))},
    },
    {
        "name": "Local threshold, Sauvola, 3D, 15 voxels",
        "ours": ours("local_threshold", method="sauvola", dimensions="3D", block_mm=15.0, r=1000.0),
        "peers": {"scikit-image": skimage_sauvola},
    },
    {
        "name": "Local threshold, median, 2D, 15 voxels",
        "ours": ours("local_threshold", method="median", block_mm=15.0),
        "peers": {"scikit-image": skimage_local("median", (1, 15, 15))},
        "slices": 16,
    },
]
