"""Filters that change the grid: to 2 mm, to another orientation, to a box."""

from __future__ import annotations

from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess.crop import Crop
from medai.segment.preprocess.crop_foreground import CropForeground
from medai.segment.preprocess.reorient import Reorient
from medai.segment.preprocess.resample import Resample
from medai.segment.preprocess.resample_to import ResampleTo

SPACING = (0.8, 0.8, 1.0)


def volume(array: np.ndarray) -> Volume:
    return Volume(array, Geometry.from_spacing(array.shape, SPACING, direction=np.diag([-1.0, -1.0, 1.0])))


def resample(interpolator: str, millimetres: float, **more: Any) -> Any:
    settings = {"isotropic_mm": millimetres, "interpolator": interpolator, **more}
    return lambda array: Resample().run(volume(array), settings)


def sitk_resample(interpolator: str, millimetres: float) -> Any:
    def run(array: np.ndarray) -> Any:
        import SimpleITK as sitk

        source = volume(array)
        target = source.geometry.with_spacing((millimetres,) * 3)
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING)
        code = getattr(sitk, interpolator)
        origin = [(n * s - m * millimetres) / 2 for n, s, m in zip(image.GetSize(), SPACING, target.size, strict=True)]
        return sitk.Resample(
            image, list(target.size), sitk.Transform(), code, origin, [millimetres] * 3, image.GetDirection(), 0.0,
            sitk.sitkFloat32,
        )  # fmt: skip

    return run


def zoom(order: int, millimetres: float) -> Any:
    def run(array: np.ndarray) -> Any:
        from scipy.ndimage import zoom as scipy_zoom

        factors = [s / millimetres for s in SPACING[::-1]]
        return scipy_zoom(array, factors, output=np.float32, order=order, mode="nearest", grid_mode=True)

    return run


def smoothed_resize(array: np.ndarray) -> Any:
    from skimage.transform import resize

    shape = volume(array).geometry.with_spacing((2.0, 2.0, 2.0)).shape
    return resize(array.astype(np.float32), shape, order=1, anti_aliasing=True)


def torch_linear(array: np.ndarray) -> Any:
    import torch

    shape = volume(array).geometry.with_spacing((2.0, 2.0, 2.0)).shape
    whole = torch.from_numpy(array)[None, None].float()
    return torch.nn.functional.interpolate(whole, shape, mode="trilinear", align_corners=False)


def tilted(array: np.ndarray) -> Geometry:
    """Return a grid of 1.5 mm turned by 10 degrees over the image."""
    turn = np.deg2rad(10)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    box = volume(array).geometry.with_spacing((1.5, 1.5, 1.5))
    plain = Geometry.from_spacing(box.shape, (1.5, 1.5, 1.5), direction=axes)
    return Geometry.from_spacing(box.shape, (1.5, 1.5, 1.5), tuple(box.centre - plain.centre), axes)


def to_tilted(array: np.ndarray) -> Any:
    return ResampleTo().run(volume(array), {"grid": tilted(array).to_dict()})


def sitk_tilted(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    from medai.core.sitk import to_sitk

    target = tilted(array)
    lps = target.ijk_to_lps
    direction = (lps[:3, :3] / 1.5).reshape(-1).tolist()
    return sitk.GetArrayFromImage(
        sitk.Resample(
            to_sitk(array, volume(array).geometry), list(target.size), sitk.Transform(), sitk.sitkLinear,
            lps[:3, 3].tolist(), [1.5] * 3, direction, 0.0, sitk.sitkFloat32,
        )
    )  # fmt: skip


def sitk_reorient(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.GetImageFromArray(array), "RAS"))


def sitk_crop(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    size = [n // 2 for n in array.shape[::-1]]
    return sitk.GetArrayFromImage(sitk.RegionOfInterest(sitk.GetImageFromArray(array), size, [n // 2 for n in size]))


def crop(array: np.ndarray) -> Any:
    size = [n // 2 for n in array.shape[::-1]]
    settings = {"box": "voxels", "first_ijk": [n // 2 for n in size], "size_ijk": size}
    return np.ascontiguousarray(Crop().run(volume(array), settings).array)


def sitk_foreground(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(sitk.OtsuThreshold(image, 0, 1, 128))
    box = shape.GetBoundingBox(1)
    return sitk.RegionOfInterest(image, box[3:], box[:3])


CASES = [
    {
        "name": "Resample to 2 mm, linear",
        "ours": resample("linear", 2.0),
        "peers": {
            "SimpleITK": sitk_resample("sitkLinear", 2.0), "SciPy zoom": zoom(1, 2.0), "torch": torch_linear,
        },
    },
    {
        "name": "Resample to 2 mm, smoothed first",
        "ours": resample("linear", 2.0, anti_alias=True),
        "peers": {"scikit-image": smoothed_resize},
    },
    {
        "name": "Resample to 2 mm, B-spline",
        "ours": resample("bspline", 2.0),
        "peers": {"SimpleITK": sitk_resample("sitkBSpline", 2.0), "SciPy zoom": zoom(3, 2.0)},
    },
    {
        "name": "Resample to 1 mm, linear",
        "ours": resample("linear", 1.0),
        "peers": {"SimpleITK": sitk_resample("sitkLinear", 1.0), "SciPy zoom": zoom(1, 1.0)},
    },
    {"name": "Resample to a turned reference of 1.5 mm", "ours": to_tilted, "peers": {"SimpleITK": sitk_tilted}},
    {
        "name": "Reorient LPS to RAS",
        "ours": lambda array: Reorient().run(volume(array), {"orientation": "RAS"}),
        "peers": {"SimpleITK": sitk_reorient},
    },
    {"name": "Crop to half", "ours": crop, "peers": {"SimpleITK": sitk_crop}},
    {
        "name": "Crop to the foreground, Otsu",
        "ours": lambda array: CropForeground().run(volume(array), {"by": "otsu"}),
        "peers": {"SimpleITK": sitk_foreground},
    },
]  # fmt: skip
