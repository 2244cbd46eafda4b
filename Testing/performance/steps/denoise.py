"""Filters against noise."""

import importlib.util
from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS

TORCH_SLAB = 16


def step(name: str, **settings: Any) -> Any:
    def run(array: np.ndarray) -> Any:
        return PREPROCESS.create(name).run(Volume(array, Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0))), settings)

    return run


def simpleitk(name: str, *arguments: Any, real: bool = False) -> Any:
    def run(array: np.ndarray) -> Any:
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(array)
        if real:
            image = sitk.Cast(image, sitk.sitkFloat32)
        return sitk.GetArrayFromImage(getattr(sitk, name)(image, *arguments))

    return run


def ndimage(name: str, *, real: bool = False, **options: Any) -> Any:
    def run(array: np.ndarray) -> Any:
        from scipy import ndimage

        # An int16 result would be cheaper and rounded: an average needs real numbers.
        return getattr(ndimage, name)(array, output=np.float32 if real else None, **options)

    return run


def torch_slabs(array: np.ndarray, reach: int, function: Any) -> np.ndarray:
    """Run ``function`` on float32 slabs padded by repeating the border, as fast as torch can on a processor."""
    import torch

    result = np.empty(array.shape, np.float32)
    with torch.no_grad():
        for start in range(0, len(array), TORCH_SLAB):
            stop = min(start + TORCH_SLAB, len(array))
            rows = np.clip(np.arange(start - reach, stop + reach), 0, len(array) - 1)
            slab = torch.from_numpy(array[rows].astype(np.float32))[None, None]
            slab = torch.nn.functional.pad(slab, (reach, reach, reach, reach, 0, 0), mode="replicate")
            result[start:stop] = function(slab)[0, 0].numpy()
    return result


def torch_mean(radius: int) -> Any:
    def run(array: np.ndarray) -> Any:
        import torch

        return torch_slabs(array, radius, lambda slab: torch.nn.functional.avg_pool3d(slab, 2 * radius + 1, stride=1))

    return run


def torch_gaussian(sigma: float) -> Any:
    reach = int(4 * sigma + 0.5)

    def run(array: np.ndarray) -> Any:
        import torch

        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
        weights /= weights.sum()
        size = len(weights)

        def smooth(slab: Any) -> Any:
            for shape in ((size, 1, 1), (1, size, 1), (1, 1, size)):
                slab = torch.nn.functional.conv3d(slab, weights.reshape(1, 1, *shape))
            return slab

        return torch_slabs(array, reach, smooth)

    return run


def torch_median(array: np.ndarray) -> Any:
    def middle(slab: Any) -> Any:
        boxes = slab.unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1).flatten(5)
        return boxes.median(dim=-1).values

    return torch_slabs(array, 1, middle)


def skimage_gaussian(sigma: float) -> Any:
    def run(array: np.ndarray) -> Any:
        from skimage.filters import gaussian

        return gaussian(array.astype(np.float32), sigma, mode="reflect", preserve_range=True)

    return run


def skimage(name: str, **options: Any) -> Any:
    def run(array: np.ndarray) -> Any:
        from skimage import restoration

        # As they are given, integers would be scaled to 0..1 or computed in float64.
        return getattr(restoration, name)(array.astype(np.float32), **options)

    return run


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": "mean 3x3x3",
            "ours": step("mean"),
            "peers": {
                "SimpleITK": simpleitk("Mean", (1, 1, 1), real=True),
                "SciPy": ndimage("uniform_filter", real=True, size=3, mode="nearest"),
            },
        },
        {
            "name": "median 3x3x3",
            "ours": step("median"),
            "peers": {
                "SimpleITK": simpleitk("Median", (1, 1, 1)),
                "SciPy": ndimage("median_filter", size=3, mode="nearest"),
            },
        },
        {
            "name": "median 5x5x5",
            "slices": 100,
            "ours": step("median", radius=2),
            "peers": {"SimpleITK": simpleitk("Median", (2, 2, 2))},
        },
        {
            "name": "Gaussian sigma 1.5",
            "ours": step("gaussian", sigma_mm=1.5),
            "peers": {
                "SimpleITK": simpleitk("SmoothingRecursiveGaussian", 1.5, real=True),
                "SciPy": ndimage("gaussian_filter", real=True, sigma=1.5),
                "scikit-image": skimage_gaussian(1.5),
            },
        },
        {
            "name": "curvature diffusion, 5 steps",
            "ours": step("anisotropic_diffusion"),
            "peers": {"SimpleITK": simpleitk("CurvatureAnisotropicDiffusion", 0.0625, 3.0, 1, 5, real=True)},
        },
        {
            "name": "bilateral, sigma 1 and 50",
            "slices": 100,
            "ours": step("bilateral"),
            "peers": {"SimpleITK": simpleitk("Bilateral", 1.0, 50.0)},
        },
        {
            "name": "non-local means, patch 3, distance 2",
            "slices": 100,
            "ours": step("non_local_means", noise_sigma=20.0),
            "peers": {
                "scikit-image": skimage(
                    "denoise_nl_means", patch_size=3, patch_distance=2, h=16.0, sigma=20.0, preserve_range=True
                )
            },
        },
        {
            "name": "total variation, 20 iterations",
            "slices": 100,
            "ours": step("total_variation", weight=30.0, tolerance=1e-9, max_iterations=20),
            "peers": {"scikit-image": skimage("denoise_tv_chambolle", weight=30.0, eps=1e-9, max_num_iter=20)},
        },
    ]
    if importlib.util.find_spec("torch") is None:
        return found
    found[0]["peers"]["torch in slabs"] = torch_mean(1)
    found[1]["peers"]["torch in slabs"] = torch_median
    found[3]["peers"]["torch in slabs"] = torch_gaussian(1.5)
    return found


CASES = cases()
