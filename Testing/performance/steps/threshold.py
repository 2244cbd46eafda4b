"""Otsu's threshold from the histogram."""

from typing import Any

import numpy as np

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters.threshold import Threshold


def ours(array: np.ndarray) -> Any:
    return Threshold().run(Volume(array, Geometry.from_spacing(array.shape, (0.8, 0.8, 1.0))))


def simpleitk(array: np.ndarray) -> Any:
    import SimpleITK as sitk

    return sitk.OtsuThreshold(sitk.GetImageFromArray(array), 0, 1, 4096)


def skimage(array: np.ndarray) -> Any:
    from skimage.filters import threshold_otsu

    return array >= threshold_otsu(array)


CASES = [{"name": "Otsu threshold", "ours": ours, "peers": {"SimpleITK": simpleitk, "scikit-image": skimage}}]
