"""Edges and contours."""

from collections.abc import Callable
from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS

SPACING = (0.8, 0.8, 1.0)


def ours(name: str, **settings: Any) -> Callable[[np.ndarray], Any]:
    def run(array: np.ndarray) -> Any:
        return SEGMENTERS.create(name).run(Volume(array, Geometry.from_spacing(array.shape, SPACING)), settings)

    return run


def image(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    found = sitk.GetImageFromArray(array)
    found.SetSpacing(SPACING)
    return found


def sitk_canny(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.CannyEdgeDetection(sitk.Cast(image(array), sitk.sitkFloat32), 20, 50, [1.0] * 3)


def sitk_gradient(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    smooth = sitk.DiscreteGaussian(sitk.Cast(image(array), sitk.sitkFloat32), [1.0] * 3, 32, [0.01] * 3, True)
    return sitk.GradientMagnitude(smooth) > 50


def sitk_recursive(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.GradientMagnitudeRecursiveGaussian(image(array), 1.0) > 50


def scipy_gradient(array: np.ndarray) -> Any:
    from scipy.ndimage import gaussian_gradient_magnitude

    return gaussian_gradient_magnitude(array, [1.0, 1.25, 1.25], output=np.float32) > 50


def sitk_crossings(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.ZeroCrossingBasedEdgeDetection(sitk.Cast(image(array), sitk.sitkFloat32), 4.0)


CASES = [
    {
        "name": "Canny edges",
        "ours": ours("canny", sigma_mm=1.0, lower=20, upper=50),
        "peers": {"SimpleITK": sitk_canny},
    },
    {
        "name": "Gradient edges",
        "ours": ours("gradient_edges", sigma_mm=1.0, lower=50),
        "peers": {
            "SimpleITK": sitk_gradient,
            "SimpleITK recursive": sitk_recursive,
            "SciPy": scipy_gradient,
        },
    },
    {
        "name": "Zero crossings",
        "ours": ours("zero_crossings", sigma_mm=2.0, percentile=0),
        "peers": {"SimpleITK": sitk_crossings},
    },
]
