"""Classes of intensity: on the histogram here, on the voxels elsewhere."""

from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS

CLASSES = 4


def ours(name: str, **settings: Any) -> Any:
    def run(array: np.ndarray) -> Any:
        volume = Volume(array, Geometry.from_spacing(array.shape, (0.8, 0.8, 1.0)))
        return SEGMENTERS.create(name).run(volume, {"classes": CLASSES, **settings})

    return run


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
    },
    {"name": "Gaussian mixture, 4 classes", "ours": ours("gmm"), "peers": {"scikit-learn": sklearn_mixture}},
    {"name": "Fuzzy c-means, 4 classes", "ours": ours("fuzzy_cmeans"), "peers": {}},
    {"name": "k-means, 4 classes, with neighbours", "ours": ours("kmeans", smoothness=0.3), "peers": {}},
    {"name": "Gaussian mixture, 4 classes, with neighbours", "ours": ours("gmm", smoothness=0.3), "peers": {}},
    {
        "name": "k-means, 4 classes, with position and texture",
        "ours": ours("kmeans", position=0.5, texture=0.5),
        "peers": {},
    },
]
