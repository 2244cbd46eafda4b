"""Turning an image's axes to a standard orientation."""

from __future__ import annotations

import numpy as np
from pydantic import Field, field_validator

from medai.core.progress import CancelToken, ProgressFn
from medai.core.resample import reorient_array
from medai.core.settings import Settings
from medai.core.volume import Volume

from ._base import Filter


class ReorientSettings(Settings):
    """The orientation wanted."""

    orientation: str = Field(
        "RAS", min_length=3, max_length=3, title="Orientation",
        description="Directions in which I, J and K grow: one each of L or R, P or A, I or S, in any order.",
        examples=["RAS", "LPS", "LAS", "LIP"],
    )  # fmt: skip

    @field_validator("orientation")
    @classmethod
    def _letters(cls, value: str) -> str:
        upper = value.upper()
        if sorted("RAS"["LPI".find(c)] if c in "LPI" else c for c in upper) != ["A", "R", "S"]:
            raise ValueError("name each of L or R, P or A, I or S once, as in RAS")
        return upper


class Reorient(Filter):
    """Swapping and flipping of axes; no value is interpolated and no voxel moves in the patient.

    The affine turns with the axes, as in nibabel's ``as_closest_canonical`` and SimpleITK's
    ``DICOMOrientImageFilter``.  An oblique image comes as close as swaps can.  The voxels' type is kept; colour works
    as well.  The axis of a single slice is an axis like any other: it need not stay K.
    """

    name = "reorient"
    title = "Reorient axes"
    group = "Geometry"
    Settings = ReorientSettings
    changes_grid = True

    def apply(self, value: Volume, settings: ReorientSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Turn a scalar or colour volume."""
        turned, geometry = reorient_array(value.array, value.geometry, settings.orientation)
        # What comes later reads slices in order: one ordered copy now costs less than many strided passes.
        array = np.empty(turned.shape, dtype=turned.dtype)
        slab = max(1, len(array) // 32)
        for start in range(0, len(array), slab):
            cancel.check()
            array[start : start + slab] = turned[start : start + slab]
            progress(min(1.0, (start + slab) / len(array)), self.title)
        return value.replace(array=array, geometry=geometry)
