"""Label operations on the air of the phantom (lungs and surroundings), made by a threshold inside each measurement."""

from collections.abc import Callable
from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.segment.components import label_components
from medai.segment.distance import distance_mm
from medai.segment.postprocess import POSTPROCESS

SPACING = (1.0, 0.8, 0.8)


def air(array: np.ndarray) -> np.ndarray:
    return array < -500


def lungs(array: np.ndarray) -> np.ndarray:
    """Without the air around the body: what shapes are usually worked on."""
    mask = air(array)
    mask[:, : array.shape[1] // 4] = mask[:, -array.shape[1] // 4 :] = False
    mask[..., : array.shape[2] // 8] = mask[..., -array.shape[2] // 8 :] = False
    return mask


def ours(name: str, make: Callable[[np.ndarray], np.ndarray], **settings: Any) -> Callable[[np.ndarray], Any]:
    def run(array: np.ndarray) -> Any:
        grid = Geometry.from_spacing(array.shape, SPACING[::-1])
        labels = LabelMap(make(array).view(np.uint8), grid, (Segment(1, "Air"),))
        return POSTPROCESS.create(name).run(labels, settings)

    return run


def sitk_image(mask: np.ndarray) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.view(np.uint8))
    image.SetSpacing(SPACING[::-1])
    return image


def sitk_op(make: Callable[[np.ndarray], np.ndarray], name: str, *args: Any, **more: Any) -> Callable[..., Any]:
    def run(array: np.ndarray) -> Any:
        import SimpleITK as sitk

        return sitk.GetArrayFromImage(getattr(sitk, name)(sitk_image(make(array)), *args, **more))

    return run


def scipy_label(array: np.ndarray) -> Any:
    from scipy.ndimage import label

    return label(air(array))


def skimage_label(array: np.ndarray) -> Any:
    from skimage.measure import label

    return label(air(array), connectivity=1)


def scipy_largest(array: np.ndarray) -> Any:
    labels, _ = scipy_label(array)
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    return labels == sizes.argmax()


def sitk_largest(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    labels = sitk.RelabelComponent(sitk.ConnectedComponent(sitk_image(air(array))), sortByObjectSize=True)
    return sitk.GetArrayFromImage(labels == 1)


def skimage_small(array: np.ndarray) -> Any:
    from skimage.morphology import remove_small_objects

    return remove_small_objects(air(array), 156)


def ball(radius_mm: float) -> np.ndarray:
    reach = [int(radius_mm / s) for s in SPACING]
    places = np.meshgrid(*(np.arange(-n, n + 1) * s for n, s in zip(reach, SPACING, strict=True)), indexing="ij")
    return sum(p**2 for p in places) <= radius_mm**2 * 1.00001


def scipy_morphology(name: str, radius_mm: float, **more: Any) -> Callable[[np.ndarray], Any]:
    def run(array: np.ndarray) -> Any:
        from scipy import ndimage

        return getattr(ndimage, name)(lungs(array), ball(radius_mm), **more)

    return run


def skimage_isotropic(name: str, radius_mm: float) -> Callable[[np.ndarray], Any]:
    def run(array: np.ndarray) -> Any:
        from skimage import morphology

        return getattr(morphology, name)(lungs(array), radius_mm, spacing=SPACING)

    return run


def inside_out(array: np.ndarray) -> np.ndarray:
    """The body: its holes are the lungs' voxels that noise and the threshold left, and the lungs themselves."""
    return ~lungs(array) & (array > -500)


def scipy_holes(array: np.ndarray) -> Any:
    from scipy.ndimage import binary_fill_holes

    return binary_fill_holes(inside_out(array))


def scipy_holes_by_slice(array: np.ndarray) -> Any:
    from scipy.ndimage import binary_fill_holes

    return np.stack([binary_fill_holes(plane) for plane in inside_out(array)])


def scipy_gaussian(array: np.ndarray) -> Any:
    from scipy.ndimage import gaussian_filter

    sigma = [2.0 / s for s in SPACING]
    return gaussian_filter(lungs(array).astype(np.float32), sigma, mode="nearest", truncate=3.0) > 0.5


def sitk_gaussian(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    image = sitk.Cast(sitk_image(lungs(array)), sitk.sitkFloat32)
    return sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, 2.0) > 0.5)


def scipy_edt(array: np.ndarray) -> Any:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(air(array), sampling=SPACING)


MAURER = {"squaredDistance": False, "useImageSpacing": True}
CASES = [
    {
        "name": "Components of a threshold",
        "ours": lambda array: label_components(air(array)),
        "peers": {
            "SciPy": scipy_label,
            "SimpleITK": sitk_op(air, "ConnectedComponent"),
            "scikit-image": skimage_label,
        },
    },
    {
        "name": "Largest component",
        "ours": ours("largest_components", air),
        "peers": {"SciPy": scipy_largest, "SimpleITK": sitk_largest},
    },
    {
        "name": "Minimum size",
        "ours": ours("minimum_size", air, minimum_mm3=100.0),
        "peers": {"scikit-image": skimage_small},
    },
    {
        "name": "Dilate 4 mm",
        "ours": ours("dilate", lungs, radius_mm=4.0),
        "peers": {
            "SimpleITK": sitk_op(lungs, "BinaryDilate", [5, 5, 4], kernelType=1),
            "scikit-image": skimage_isotropic("isotropic_dilation", 4.0),
            "SciPy": scipy_morphology("binary_dilation", 4.0),
        },
        "slices": 64,
    },
    {
        "name": "Erode 4 mm",
        "ours": ours("erode", lungs, radius_mm=4.0),
        "peers": {
            "SimpleITK": sitk_op(lungs, "BinaryErode", [5, 5, 4], kernelType=1),
            "scikit-image": skimage_isotropic("isotropic_erosion", 4.0),
            "SciPy": scipy_morphology("binary_erosion", 4.0, border_value=1),
        },
        "slices": 64,
    },
    {
        "name": "Open 4 mm",
        "ours": ours("open", lungs, radius_mm=4.0),
        "peers": {"SimpleITK": sitk_op(lungs, "BinaryMorphologicalOpening", [5, 5, 4], kernelType=1)},
    },
    {
        "name": "Close 4 mm",
        "ours": ours("close", lungs, radius_mm=4.0),
        "peers": {"SimpleITK": sitk_op(lungs, "BinaryMorphologicalClosing", [5, 5, 4], kernelType=1)},
    },
    {
        "name": "Fill holes",
        "ours": ours("fill_holes", inside_out),
        "peers": {"SimpleITK": sitk_op(inside_out, "BinaryFillhole"), "SciPy": scipy_holes},
        "slices": 64,
    },
    {
        "name": "Fill holes, slice by slice",
        "ours": ours("fill_holes", inside_out, within="axial"),
        "peers": {"SciPy": scipy_holes_by_slice},
        "slices": 64,
    },
    {
        "name": "Smooth labels, Gaussian 2 mm",
        "ours": ours("smooth_gaussian", lungs, sigma_mm=2.0),
        "peers": {"SciPy": scipy_gaussian, "SimpleITK, recursive": sitk_gaussian},
    },
    {
        "name": "Smooth labels, majority 5x5x5",
        "ours": ours("smooth_median", lungs, radius_mm=2.0),
        "peers": {"SimpleITK": sitk_op(lungs, "BinaryMedian", [2, 2, 2])},
    },
    {
        "name": "Split left and right",
        "ours": ours("split_sides", lungs),
        "peers": {},
    },
    {
        "name": "Distances in mm",
        "ours": lambda array: distance_mm(air(array), SPACING),
        "peers": {
            "SimpleITK": sitk_op(air, "SignedMaurerDistanceMap", **MAURER),
            "SciPy": scipy_edt,
        },
        "slices": 64,
    },
]
