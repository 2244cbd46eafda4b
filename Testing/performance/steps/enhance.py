"""Equalisation, contrast, sharpening, bias field and normalisation."""

from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess.clahe import Clahe
from medai.segment.preprocess.clip import Clip
from medai.segment.preprocess.contrast import Contrast
from medai.segment.preprocess.equalise import Equalise
from medai.segment.preprocess.gamma import Gamma
from medai.segment.preprocess.laplacian_sharpen import LaplacianSharpen
from medai.segment.preprocess.n4 import N4
from medai.segment.preprocess.robust_scale import RobustScale
from medai.segment.preprocess.unsharp import Unsharp
from medai.segment.preprocess.zscore import Zscore

SPACING = (0.8, 0.8, 1.0)


def step(member: Any, **settings: Any) -> Any:
    """Return the function that runs a filter of ours on an array."""

    def run(array: np.ndarray) -> Any:
        return member().run(Volume(array, Geometry.from_spacing(array.shape, SPACING)), settings)

    return run


def equalise_skimage(array: np.ndarray) -> Any:
    from skimage.exposure import equalize_hist

    return equalize_hist(array)


def clahe_skimage(array: np.ndarray) -> Any:
    from skimage.exposure import equalize_adapthist

    # Its 3D call takes the image as a whole; the same work is one call a slice.
    return [equalize_adapthist(plane, kernel_size=62, clip_limit=0.01) for plane in array]


def clahe_volume_skimage(array: np.ndarray) -> Any:
    from skimage.exposure import equalize_adapthist

    return equalize_adapthist(array, kernel_size=(50, 62, 62), clip_limit=0.01)


def contrast_skimage(array: np.ndarray) -> Any:
    from skimage.exposure import rescale_intensity

    low, high = np.percentile(array, (1, 99))
    return rescale_intensity(array, in_range=(low, high), out_range=(int(array.min()), int(array.max())))


def window_sitk(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    return sitk.GetArrayFromImage(sitk.IntensityWindowing(image, -160, 240, 0, 255))


def clip_numpy(array: np.ndarray) -> Any:
    return np.clip(array, -1000, 1000)


def gamma_skimage(array: np.ndarray) -> Any:
    from skimage.exposure import adjust_gamma

    return adjust_gamma(array - array.min(), 0.7)


def unsharp_skimage(array: np.ndarray) -> Any:
    from skimage.filters import unsharp_mask

    return unsharp_mask(array.astype(np.float32), radius=1.25, amount=1.0, preserve_range=True)


def unsharp_scipy(array: np.ndarray) -> Any:
    from scipy.ndimage import gaussian_filter

    values = array.astype(np.float32)
    return 2 * values - gaussian_filter(values, (1.0, 1.25, 1.25))


def unsharp_sitk(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    image = sitk.Cast(sitk.GetImageFromArray(array), sitk.sitkFloat32)
    image.SetSpacing(SPACING)
    return sitk.GetArrayFromImage(2 * image - sitk.SmoothingRecursiveGaussian(image, 1.0))


def laplacian_sitk(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    image = sitk.Cast(sitk.GetImageFromArray(array), sitk.sitkFloat32)
    image.SetSpacing(SPACING)
    return sitk.GetArrayFromImage(sitk.LaplacianSharpening(image))


def positive(array: np.ndarray) -> np.ndarray:
    values = np.maximum(array, -1000)
    values += np.int16(1001)
    return values


def n4_ours(array: np.ndarray) -> Any:
    return step(N4, shrink=4, levels=2, iterations=10)(positive(array))


def n4_sitk(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    image = sitk.Cast(sitk.GetImageFromArray(positive(array)), sitk.sitkFloat32)
    image.SetSpacing(SPACING)
    small = sitk.Shrink(image, [4, 4, 4])
    method = sitk.N4BiasFieldCorrectionImageFilter()
    method.SetMaximumNumberOfIterations([10, 10])
    method.Execute(small, sitk.OtsuThreshold(small, 0, 1, 200))
    return sitk.GetArrayFromImage(image / sitk.Exp(method.GetLogBiasFieldAsImage(image)))


def zscore_numpy(array: np.ndarray) -> Any:
    values = array.astype(np.float32)
    return (values - values.mean()) / values.std()


def zscore_sitk(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.Normalize(sitk.Cast(sitk.GetImageFromArray(array), sitk.sitkFloat32)))


def robust_numpy(array: np.ndarray) -> Any:
    low, high = np.percentile(array, (1, 99))
    return (array.astype(np.float32) - np.float32(low)) / np.float32(high - low)


CASES = [
    {"name": "histogram equalisation", "ours": step(Equalise), "peers": {"scikit-image": equalise_skimage}},
    {"name": "CLAHE by slice", "ours": step(Clahe), "peers": {"scikit-image": clahe_skimage}},
    {
        "name": "CLAHE in boxes",
        "ours": step(Clahe, mode="volume"),
        "peers": {"scikit-image": clahe_volume_skimage},
        "slices": 64,  # scikit-image needs more than 6 GiB for 300
    },
    {"name": "contrast, percentiles", "ours": step(Contrast), "peers": {"scikit-image": contrast_skimage}},
    {
        "name": "contrast, window to bytes",
        "ours": step(Contrast, method="window", level=40, width=400, output="byte"),
        "peers": {"SimpleITK": window_sitk},
    },
    {"name": "gamma", "ours": step(Gamma), "peers": {"scikit-image": gamma_skimage}},
    {
        "name": "clip to a range",
        "ours": step(Clip, method="range", lower=-1000, upper=1000),
        "peers": {"NumPy": clip_numpy},
    },
    {
        "name": "unsharp mask, sigma 1 mm",
        "ours": step(Unsharp),
        "peers": {"scikit-image": unsharp_skimage, "SciPy": unsharp_scipy, "SimpleITK": unsharp_sitk},
    },
    {"name": "Laplacian sharpening", "ours": step(LaplacianSharpen), "peers": {"SimpleITK": laplacian_sitk}},
    {"name": "N4, shrunk by 4", "ours": n4_ours, "peers": {"SimpleITK": n4_sitk}, "slices": 64},
    {"name": "z-score", "ours": step(Zscore), "peers": {"NumPy": zscore_numpy, "SimpleITK": zscore_sitk}},
    {"name": "robust scaling", "ours": step(RobustScale), "peers": {"NumPy": robust_numpy}},
]
