"""Normalisation to mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..colour import by_component
from ..inside import inside_mask
from ._base import Filter
from ._region import RegionSettings, region_mask
from ._statistics import moments
from ._values import map_values, real_type


class ZscoreSettings(RegionSettings):
    """Which voxels mean and standard deviation are taken from."""


class Zscore(Filter):
    """Every value minus the mean, divided by the standard deviation (of the population, as ``numpy.std``).

    Both are taken from the finite voxels of a region and computed in float64; all voxels are changed.  The result is
    float32 (float64 stays float64).  NaN and infinity stay.  Each channel of a colour image is normalised alone.
    """

    name = "zscore"
    title = "Z-score"
    group = "Normalise"
    uses_labels = "optional"
    Settings = ZscoreSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: ZscoreSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Normalise a scalar or colour volume.

        Raises
        ------
        InputError
            If the region is constant, empty, or holds no finite value.
        """
        inside = inside_mask(labels, settings.inside)

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            mask = region_mask(array, inside, settings.region, cancel)
            found = moments(array, mask, cancel=cancel)
            if not found.number or not found.sd > 0:
                raise InputError("The z-score needs at least two different values; the region is constant or empty.")
            return map_values(
                array,
                lambda values: (values - found.mean) / found.sd,
                real_type(array),
                progress=part,
                cancel=cancel,
                message=self.title,
            )

        return value.replace(array=by_component(value.array, one, progress), unit="")
