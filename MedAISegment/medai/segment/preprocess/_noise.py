"""The strength of an image's noise, estimated from the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MAX_SLICES = 64
NORMAL_MEDIAN = 0.6744897501960817
"""Median of the absolute value of a standard normal variable."""


def noise_sigma(image: Array) -> float:
    """Estimate the standard deviation of white Gaussian noise in a scalar image (K, J, I).

    The diagonal Haar details (a - b - c + d) / 2 of 2 x 2 voxels hold the noise and hardly any anatomy; their median
    absolute value, divided by 0.6745, is its standard deviation (D. L. Donoho and I. M. Johnstone, Ideal spatial
    adaptation by wavelet shrinkage, 1994).  Details that are exactly zero, as in padded air, do not count.  At most 64
    slices, evenly spaced, across the image's shortest axis are looked at.

    Returns
    -------
    float
        In the image's intensities; 0 if there is none, or fewer than two axes have two voxels.
    """
    across = int(np.argmin(image.shape))
    planes = np.moveaxis(image, across, 0)
    if len(planes) > MAX_SLICES:
        planes = planes[np.linspace(0, len(planes) - 1, MAX_SLICES).round().astype(int)]
    rows, columns = planes.shape[1] // 2 * 2, planes.shape[2] // 2 * 2
    if not rows or not columns:
        return 0.0
    details = []
    for plane in planes:
        even = plane[:rows:2].astype(np.float64) - plane[1:rows:2]
        detail = np.abs(even[:, 0:columns:2] - even[:, 1:columns:2]).ravel()
        details.append(detail[detail > 0].astype(np.float32))
    found = np.concatenate(details)
    return float(np.median(found)) / 2 / NORMAL_MEDIAN if len(found) else 0.0
