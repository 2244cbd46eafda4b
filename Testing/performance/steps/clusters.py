"""Classes of intensity: on the histogram here, on the voxels elsewhere."""

from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS

CLASSES = 4


def ours(name: str, **settings: Any) -> Any:
    def run(array: np.ndarray) -> Any:
        volume = Volume(array, Geometry.from_spacing(array.shape, (0.8, 0.8, 1.0)))
        return SEGMENTERS.create(name).run(volume, {"classes": CLASSES, **settings})

    return run


def ours_slic(array: np.ndarray) -> Any:
    volume = Volume(array, Geometry.from_spacing(array.shape, (0.8, 0.8, 1.0)))
    return SEGMENTERS.create("slic").run(volume, {"pieces": 1000})


def sklearn_kmeans(array: np.ndarray) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(CLASSES, n_init=1, random_state=0).fit_predict(array.reshape(-1, 1).astype(np.float32))


def simpleitk_kmeans(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.ScalarImageKmeans(sitk.GetImageFromArray(array), [-900.0, -90.0, 45.0, 420.0])


def sklearn_mixture(array: np.ndarray) -> Any:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(CLASSES, random_state=0).fit_predict(array.reshape(-1, 1).astype(np.float32))


def simpleitk_multi_otsu(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.OtsuMultipleThresholds(sitk.GetImageFromArray(array), CLASSES - 1, 0, 128)


def skimage_multi_otsu(array: np.ndarray) -> Any:
    from skimage.filters import threshold_multiotsu

    return np.digitize(array, threshold_multiotsu(array, CLASSES))


def skimage_slic(array: np.ndarray) -> Any:
    from skimage.segmentation import slic

    scaled = ((np.clip(array, -1000, 500) + 1000) / 1500).astype(np.float32)
    return slic(scaled, n_segments=1000, compactness=0.1, channel_axis=None, spacing=(1.0, 0.8, 0.8))


def box(array: np.ndarray) -> tuple[Volume, LabelMap]:
    """Return a box of 64 slices or fewer of 128 x 128 about a kidney, a seed in it and background at the edge."""
    part = np.ascontiguousarray(array[:64, 244:372, 268:396])
    volume = Volume(part, Geometry.from_spacing(part.shape, (0.8, 0.8, 1.0)))
    seeds = np.zeros(part.shape, dtype=np.uint8)
    seeds[:, :4], seeds[:, -4:] = 2, 2
    seeds[len(part) // 2, 56:64, 60:72] = 1
    return volume, LabelMap(seeds, volume.geometry, (Segment(1, "Organ"), Segment(2, "Background")))


def seeded(name: str) -> Any:
    def run(array: np.ndarray) -> Any:
        if array.shape[1] < 512:  # the warm-up's cut-out
            array = np.zeros((2, 512, 512), dtype=np.int16)
        volume, labels = box(array)
        return SEGMENTERS.create(name).run(volume, labels=labels)

    return run


def skimage_random_walker(array: np.ndarray) -> Any:
    from skimage.segmentation import random_walker

    volume, labels = box(array)
    return random_walker(
        volume.array.astype(np.float64), labels.array.astype(int), mode="cg_j", spacing=(1.0, 0.8, 0.8)
    )


CASES = [
    {
        "name": "Multi-Otsu, 4 classes",
        "ours": ours("multi_otsu"),
        "peers": {"SimpleITK (128 bins)": simpleitk_multi_otsu, "scikit-image": skimage_multi_otsu},
    },
    {
        "name": "k-means, 4 classes",
        "ours": ours("kmeans"),
        "peers": {"scikit-learn": sklearn_kmeans, "SimpleITK": simpleitk_kmeans},
        "slices": 100,  # SimpleITK takes minutes
    },
    {
        "name": "Gaussian mixture, 4 classes",
        "ours": ours("gmm"),
        "peers": {"scikit-learn": sklearn_mixture},
        "slices": 16,  # scikit-learn takes many minutes
    },
    {"name": "Fuzzy c-means, 4 classes", "ours": ours("fuzzy_cmeans"), "peers": {}},
    {"name": "k-means, 4 classes, with neighbours", "ours": ours("kmeans", smoothness=0.3), "peers": {}},
    {"name": "Gaussian mixture, 4 classes, with neighbours", "ours": ours("gmm", smoothness=0.3), "peers": {}},
    {
        "name": "k-means, 4 classes, with position and texture",
        "ours": ours("kmeans", position=0.5, texture=0.5),
        "peers": {},
    },
    {
        "name": "Supervoxels (SLIC), 1,000 pieces",
        "ours": ours_slic,
        "peers": {"scikit-image": skimage_slic},
        "slices": 64,
    },
    {
        "name": "Random walker, box of 128 x 128 x 64",
        "ours": seeded("random_walker"),
        "peers": {"scikit-image": skimage_random_walker},
        "slices": 64,
    },
    {"name": "Graph cut, box of 128 x 128 x 64", "ours": seeded("graph_cut"), "peers": {}, "slices": 64},
]
