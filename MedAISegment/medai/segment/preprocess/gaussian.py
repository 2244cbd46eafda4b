"""Gaussian smoothing with the width in millimetres."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ._base import Filter

TRUNCATE = 4.0
"""The kernel ends this many standard deviations from its centre (SciPy's default)."""

WORK = 1e8
"""Multiplications a call: cancelling waits for one call at most."""


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

    ``scipy.ndimage.gaussian_filter1d`` along K, J and I with sigma / spacing voxels; borders are mirrored about the
    edge of the last voxel (``reflect``).  A single slice is smoothed in its plane only.  The result is float32
    (float64 stays float64).
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
        from scipy.ndimage import gaussian_filter1d

        dtype = np.float64 if value.array.dtype == np.float64 else np.float32
        result = value.array.astype(dtype)
        for axis, spacing in enumerate(value.geometry.spacing_kji):
            size = value.geometry.shape[axis]
            if size == 1:
                continue
            sigma = settings.sigma_mm / spacing
            if int(TRUNCATE * sigma + 0.5) > size:
                raise SettingsError(
                    f"gaussian.sigma_mm: {settings.sigma_mm:g} mm is too wide for an axis of {size * spacing:g} mm.",
                    hint=f"Use at most {size * spacing / TRUNCATE:.3g} mm.",
                )
            # Lines along one axis do not touch each other, so slabs across another give the same numbers.
            lines = np.moveaxis(result, 1 if axis == 0 else 0, 0)
            along = axis if axis else 1
            taps = 2 * int(TRUNCATE * sigma + 0.5) + 1
            step = max(1, int(WORK // (taps * max(1, lines[0].size))))
            for start in range(0, len(lines), step):
                cancel.check()
                slab = lines[start : start + step]
                slab[...] = gaussian_filter1d(slab, sigma, axis=along, mode="reflect", truncate=TRUNCATE)
                progress((axis + min(1.0, (start + step) / len(lines))) / 3, self.title)
        return value.replace(array=result)
