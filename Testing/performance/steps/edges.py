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


POINTS = {
    "Soft tissue": (0.5, 0.55, 0.45),
    "Left lung": (0.5, 0.5, 0.3),
    "Right lung": (0.5, 0.5, 0.7),
    "Air": (0.5, 0, 0),
}
"""Seeds, as parts of the image's size along K, J, I."""


def places(array: np.ndarray) -> dict[str, tuple[int, int, int]]:
    k, j, i = array.shape
    return {name: (int(k * a), int(j * b), int(i * c)) for name, (a, b, c) in POINTS.items()}


def seeded(name: str, only: str = "", **settings: Any) -> Callable[[np.ndarray], Any]:
    def run(array: np.ndarray) -> Any:
        grid = Geometry.from_spacing(array.shape, SPACING)
        seeds = [
            {"ras": [float(v) for v in grid.to_ras(np.array(kji[::-1], dtype=float))], "segment": segment}
            for segment, kji in places(array).items()
            if only in ("", segment)
        ]
        return SEGMENTERS.create(name).run(Volume(array, grid), {"seeds": seeds, **settings})

    return run


def steepness(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    smooth = sitk.DiscreteGaussian(sitk.Cast(image(array), sitk.sitkFloat32), [1.0] * 3, 32, [0.01] * 3, True)
    return sitk.GradientMagnitude(smooth)


def markers(array: np.ndarray) -> np.ndarray:
    found = np.zeros(array.shape, dtype=np.uint8)
    for label, place in enumerate(places(array).values(), start=1):
        found[place] = label
    return found


def sitk_watershed(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    marked = sitk.GetImageFromArray(markers(array))
    marked.SetSpacing(SPACING)
    levels = sitk.Cast(steepness(array) * 64, sitk.sitkUInt16)
    return sitk.MorphologicalWatershedFromMarkers(levels, marked, False, False)


def skimage_watershed(array: np.ndarray) -> Any:
    import SimpleITK as sitk
    from skimage.segmentation import watershed

    return watershed(sitk.GetArrayFromImage(steepness(array)), markers(array))


def ball(array: np.ndarray) -> np.ndarray:
    centre = places(array)["Left lung"]
    k, j, i = (
        (np.arange(n) - c) * s for n, c, s in zip(array.shape, centre, SPACING[::-1], strict=True)
    )  # fmt: skip
    return (k[:, None, None] ** 2 + j[:, None] ** 2 + i**2 <= 400).astype(np.uint8)


def skimage_chan_vese(array: np.ndarray) -> Any:
    from skimage.segmentation import morphological_chan_vese

    return morphological_chan_vese(array, 10, ball(array), 1)


def sitk_geodesic(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    mask = sitk.GetImageFromArray(ball(array))
    mask.SetSpacing(SPACING)
    level = sitk.Cast(sitk.SignedMaurerDistanceMap(mask, False, False, True), sitk.sitkFloat32)
    steep = steepness(array) / 60.0
    feature = sitk.Cast(1 / (1 + steep * steep), sitk.sitkFloat32)
    return sitk.GeodesicActiveContourLevelSet(level, feature, 0.01, 1.0, 0.5, 1.0, 50) <= 0


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
    {
        "name": "Watershed from seeds",
        "ours": seeded("watershed", background="Air"),
        "peers": {"SimpleITK": sitk_watershed, "scikit-image": skimage_watershed},
        "slices": 64,
    },
    {
        "name": "Chan-Vese, 10 iterations",
        "ours": seeded("chan_vese", "Left lung", ball_mm=20.0, iterations=10, margin_mm=1000.0),
        "peers": {"scikit-image": skimage_chan_vese},
        "slices": 32,
    },
    {
        "name": "Geodesic active contour, 50 iterations",
        "ours": seeded("geodesic_active_contour", "Left lung", ball_mm=20.0, iterations=50, edge=60.0),
        "peers": {"SimpleITK": sitk_geodesic},
        "slices": 64,
    },
]
