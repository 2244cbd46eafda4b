"""Resampling onto the grid of another image."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import GeometryError, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ..histogram import value_range
from ..regrid import check_size, regrid
from ._base import Filter

Array = npt.NDArray[Any]
Row = tuple[float, float, float, float]
Count = Annotated[int, Field(ge=1)]


class Grid(Settings):
    """A grid, as :meth:`medai.core.geometry.Geometry.to_dict` writes it."""

    shape: tuple[Count, Count, Count] = Field(title="Shape", description="Voxels along K, J, I.")
    ijk_to_ras: tuple[Row, Row, Row, Row] = Field(
        title="IJK to RAS", description="4 x 4 matrix from voxel indices (I, J, K) to RAS.",
        json_schema_extra={"unit": "mm"},
    )  # fmt: skip


class ResampleToSettings(Settings):
    """The grid wanted, and how values are made."""

    reference: str = Field(
        "", max_length=4096, title="Reference image",
        description="Path of an image file or DICOM folder whose grid is taken; its voxels are not used.",
    )  # fmt: skip
    grid: Grid | None = Field(
        None, title="Grid", description="The grid itself, instead of a file: its shape and its matrix."
    )
    interpolator: Literal["linear", "bspline", "nearest"] = Field(
        "linear", title="Interpolation", description="Linear, cubic B-spline, or the nearest voxel's value."
    )
    fill: float | None = Field(
        None,
        title="Value outside",
        description="Value outside the image; empty: the smallest value (of each component).",
    )
    max_voxels: int = Field(
        1 << 29, ge=1, le=1 << 34, title="Largest result", description="More voxels than this are refused.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip


class ResampleTo(Filter):
    """Interpolation at the voxel centres of a reference image, in patient coordinates.

    Equal to SimpleITK's ``ResampleImageFilter`` without a transform: inside the image's outer half voxel linear
    interpolation takes the border voxel and the cubic B-spline a mirrored image; outside stands ``fill``, and the
    result is flagged ``FOV_CLIPPED``.  Where the axes of the two grids are parallel the work is done axis by axis;
    oblique grids go through SimpleITK itself (a cubic B-spline then takes 8 bytes a voxel for its coefficients).  A
    reference of larger voxels is not smoothed for: use the filter "Resample to a voxel size" with smoothing first.

    The result is float32 (float64 stays float64); ``nearest`` keeps the voxels' type.  Colour: each component alone.
    """

    name = "resample_to"
    title = "Resample to a reference"
    group = "Geometry"
    requires = ("scipy", "SimpleITK")
    Settings = ResampleToSettings
    changes_grid = True

    def apply(
        self, value: Volume, settings: ResampleToSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Volume:
        """Resample a scalar or colour volume.

        Raises
        ------
        SettingsError
            If there is not exactly one of reference and grid, the result would be too large, or ``fill`` does not fit
            the voxels' type.
        GeometryError
            If the grids have no point in common.
        """
        target = _target(settings)
        progress(0.05, self.title)
        check_size(target.shape, settings.max_voxels, "resample_to.reference", "Choose a coarser or smaller reference.")
        _require_overlap(value.geometry, target)
        kept = settings.interpolator == "nearest" and value.array.dtype.kind in "iu"
        limit = float(np.finfo(value.array.dtype if value.array.dtype.kind == "f" else np.float32).max)
        if settings.fill is not None and not kept and abs(settings.fill) > limit:
            raise SettingsError(
                f"resample_to.fill: {settings.fill:g} is beyond the numbers of the result's type.",
                hint="Use a smaller number.",
            )
        if settings.fill is not None and kept and not _fits(settings.fill, value.array.dtype):
            raise SettingsError(
                f"resample_to.fill: {settings.fill:g} is no value of the image's type {value.array.dtype.name}.",
                hint="Use a whole number in its range, or another interpolation.",
            )

        def component(part: Array, report: ProgressFn) -> Array:
            fill = _smallest(part, cancel) if settings.fill is None else settings.fill
            return regrid(
                part, value.geometry, target, settings.interpolator, fill=fill,
                progress=report, cancel=cancel, message=self.title,
            )  # fmt: skip

        array = by_component(value.array, component, sub_progress(progress, 0.05, 1.0))
        result = value.replace(array=array, geometry=target)
        return result if _covered(value.geometry, target) else result.with_flags(_CLIPPED)


_CLIPPED = QCFlag(
    "FOV_CLIPPED", Severity.WARNING, "The reference reaches outside the image; a fixed value stands there."
)


def _target(settings: ResampleToSettings) -> Geometry:
    if bool(settings.reference) == (settings.grid is not None):
        raise SettingsError(
            "resample_to.reference: either a reference image or a grid is needed.",
            hint="Give the path of an image, or its shape and matrix.",
        )
    if settings.grid is not None:
        return Geometry.from_dict(settings.grid.to_dict())
    from medai.core.io import read_volume

    return read_volume(settings.reference).geometry


def _smallest(array: Array, cancel: CancelToken) -> float:
    try:
        return float(value_range(array, None, cancel)[0])
    except InputError:  # no finite value at all
        return 0.0


def _fits(value: float, dtype: Any) -> bool:
    info = np.iinfo(dtype)
    return float(value).is_integer() and info.min <= value <= info.max


def _box(geometry: Geometry) -> Array:
    """Return index coordinates of the outer corners of a grid's box, shape (8, 3)."""
    i, j, k = (n - 0.5 for n in geometry.size)
    return np.array([(a, b, c) for a in (-0.5, i) for b in (-0.5, j) for c in (-0.5, k)])


def _covered(source: Geometry, target: Geometry) -> bool:
    """Return whether every voxel centre of the target lies inside the source's box."""
    index = source.to_ijk(target.corners())
    return bool((index >= -0.5 - 1e-6).all() and (index <= np.asarray(source.size) - 0.5 + 1e-6).all())


def _require_overlap(source: Geometry, target: Geometry) -> None:
    for one, other in ((source, target), (target, source)):
        index = one.to_ijk(other.to_ras(_box(other)))
        if (index.max(axis=0) <= -0.5).any() or (index.min(axis=0) >= np.asarray(one.size) - 0.5).any():
            raise GeometryError(
                f"The image ({source.describe()}) and the reference ({target.describe()}) have no point in common.",
                hint="Choose a reference of the same patient and position.",
            )
