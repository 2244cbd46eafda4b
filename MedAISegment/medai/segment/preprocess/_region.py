"""Which voxels a normalisation takes its numbers from."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.progress import CancelToken

from ..inside import InsideSettings
from ._statistics import Mask, moments


class RegionSettings(InsideSettings):
    """Base of the settings of normalisations; the whole image is changed, whatever the numbers are taken from."""

    region: Literal["image", "nonzero", "above_mean"] = Field(
        "image",
        title="Statistics from",
        description="All voxels, those that are not 0, or those brighter than the mean, which leaves out the air around"
        " a patient; together with 'inside', those of the segment.",
    )


def region_mask(array: npt.NDArray[Any], inside: Mask | None, region: str, cancel: CancelToken) -> Mask | None:
    """Return the voxels (K, J, I) that count, or None for all.

    Parameters
    ----------
    array : array, shape (K, J, I)
        The image.  NaN is in no region but ``image``.
    inside : array of bool, shape (K, J, I), optional
        Voxels of the segment to work inside.
    region : {"image", "nonzero", "above_mean"}
        See :class:`RegionSettings`; the mean is that of the finite voxels inside.

    Raises
    ------
    InputError
        If no voxel is left.
    """
    if region == "image":
        return inside
    limit = 0.0 if region == "nonzero" else moments(array, inside, cancel=cancel).mean
    found: Mask = (array != 0) & ~np.isnan(array) if region == "nonzero" else array > limit
    if inside is not None:
        found &= inside
    if not found.any():
        what = "different from 0" if region == "nonzero" else "brighter than the mean"
        raise InputError(f"No voxel is {what}, so there is nothing to normalise with.", hint="Choose another region.")
    return found
