"""Gaussian smoothing with the width in millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ._base import Filter
from ._separable import correlate

Array = npt.NDArray[Any]
TRUNCATE = 4.0
"""The kernel ends this many standard deviations from its centre (SciPy's default)."""


class GaussianSettings(Settings):
    """How much to smooth."""

    sigma_mm: float = Field(
        1.0,
        gt=0,
        le=100,
        title="Sigma",
        description="Standard deviation in mm, along every axis.",
        json_schema_extra={"unit": "mm"},
    )


class Gaussian(Filter):
    """Convolution with a sampled Gaussian, the same width in mm along every axis.

    As :func:`scipy.ndimage.gaussian_filter` along K, J and I with sigma / spacing voxels, but for rounding; borders are
    mirrored about the edge of the last voxel (``reflect``).  A single slice is smoothed in its plane only.  The result
    is float32 (float64 stays float64).  A voxel whose kernel reaches a NaN becomes NaN.
    """

    name = "gaussian"
    title = "Gaussian smoothing"
    group = "Denoise"
    requires = ("scipy",)
    Settings = GaussianSettings

    def apply(self, value: Volume, settings: GaussianSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Smooth a scalar or colour volume (each component alone).

        Raises
        ------
        SettingsError
            If the kernel would be wider than the image along an axis.
        """
        kernels = []
        for size, spacing in zip(value.geometry.shape, value.geometry.spacing_kji, strict=True):
            sigma = settings.sigma_mm / spacing
            if size > 1 and int(TRUNCATE * sigma + 0.5) > size:
                raise SettingsError(
                    f"gaussian.sigma_mm: {settings.sigma_mm:g} mm is too wide for an axis of {size * spacing:g} mm.",
                    hint=f"Use at most {size * spacing / TRUNCATE:.3g} mm.",
                )
            kernels.append(gaussian_kernel(sigma) if size > 1 else np.ones(1))

        def smooth(array: Array, ahead: ProgressFn) -> Array:
            return correlate(array, kernels, border="reflect", progress=ahead, cancel=cancel, message=self.title)

        return value.replace(array=by_component(value.array, smooth, progress))


def gaussian_kernel(sigma: float) -> npt.NDArray[Any]:
    """Return the weights of a Gaussian of ``sigma`` voxels, sampled at whole voxels, with the sum 1."""
    reach = int(TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())
