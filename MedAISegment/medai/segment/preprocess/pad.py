"""Making an image larger on each side."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..regrid import check_size
from ._base import Filter

Amount = Annotated[float, Field(ge=0, le=10000)]


class PadSettings(Settings):
    """How much is added where."""

    unit: Literal["voxels", "mm"] = Field("voxels", title="Unit", description="Unit of 'before' and 'after'.")
    before: tuple[Amount, Amount, Amount] = Field(
        (10.0, 10.0, 10.0), title="Before", description="Added before the first voxel along I, J, K."
    )
    after: tuple[Amount, Amount, Amount] = Field(
        (10.0, 10.0, 10.0), title="After", description="Added behind the last voxel along I, J, K."
    )
    mode: Literal["constant", "edge", "reflect"] = Field(
        "constant", title="Filled with",
        description="A constant value, the border voxel again, or the image mirrored at its border voxel.",
    )  # fmt: skip
    value: float = Field(0.0, title="Value", description="The constant value.")
    max_voxels: int = Field(
        1 << 29, ge=1, le=1 << 34, title="Largest result", description="More voxels than this are refused.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip


class Pad(Filter):
    """More voxels on each side; those that were there keep their values and their place in the patient.

    NumPy's ``pad``: ``reflect`` mirrors at the centre of the border voxel and goes on mirroring where the padding is
    wider than the image.  Lengths in mm and fractions of a voxel are rounded up to whole voxels.  An axis of one voxel
    is not padded: a single slice stays one.  The voxels' type is kept; colour works as well.
    """

    name = "pad"
    title = "Pad"
    group = "Geometry"
    Settings = PadSettings
    changes_grid = True

    def apply(self, value: Volume, settings: PadSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Pad a scalar or colour volume.

        Raises
        ------
        SettingsError
            If the result would be too large, or ``value`` is none of the voxels' type.
        """
        grid, dtype = value.geometry, value.array.dtype
        if settings.mode == "constant" and dtype.kind in "iu":
            info = np.iinfo(dtype)
            if not (settings.value.is_integer() and info.min <= settings.value <= info.max):
                raise SettingsError(
                    f"pad.value: {settings.value:g} is no value of the image's type {dtype.name}.",
                    hint=f"Use a whole number from {info.min} to {info.max}.",
                )
        if settings.mode == "constant" and dtype.kind == "f" and abs(settings.value) > float(np.finfo(dtype).max):
            raise SettingsError(
                f"pad.value: {settings.value:g} is beyond the numbers of the image's type {dtype.name}.",
                hint="Use a smaller number.",
            )
        wide = []
        for axis, (size, spacing) in enumerate(zip(grid.shape, grid.spacing_kji, strict=True)):
            unit = spacing if settings.unit == "mm" else 1.0
            both = (settings.before[2 - axis], settings.after[2 - axis])
            wide.append((0, 0) if size == 1 else tuple(int(np.ceil(amount / unit - 1e-6)) for amount in both))
        k, j, i = (size + sum(both) for size, both in zip(grid.shape, wide, strict=True))
        check_size((k, j, i), settings.max_voxels, "pad.before", "Add less.")
        progress(0.05, self.title)
        every = [*wide, (0, 0)] if value.array.ndim == 4 else wide
        if settings.mode == "constant":
            array = np.pad(value.array, every, mode="constant", constant_values=settings.value)
        else:
            array = np.pad(value.array, every, mode=settings.mode)
        cancel.check()
        start = (-wide[0][0], -wide[1][0], -wide[2][0])
        return value.replace(array=array, geometry=grid.crop(start, (k, j, i)))
