"""Resampling to another voxel size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..colour import by_component
from ..regrid import check_size, regrid
from ._base import Filter

Spacing = Annotated[float, Field(ge=0, le=1000)]


class ResampleSettings(Settings):
    """The voxels wanted."""

    spacing_mm: tuple[Spacing, Spacing, Spacing] = Field(
        (1.0, 1.0, 1.0), title="Spacing", description="Voxel size along I, J, K; 0 keeps an axis as it is.",
        json_schema_extra={"unit": "mm"},
    )  # fmt: skip
    isotropic_mm: float = Field(
        0.0, ge=0, le=1000, title="Isotropic spacing",
        description="The same voxel size along every axis, instead of 'spacing'; 0: not used.",
        json_schema_extra={"unit": "mm"},
    )  # fmt: skip
    interpolator: Literal["linear", "bspline", "nearest"] = Field(
        "linear", title="Interpolation", description="Linear, cubic B-spline, or the nearest voxel's value."
    )
    anti_alias: bool = Field(
        False, title="Smooth before downsampling",
        description="Gaussian smoothing along axes that become coarser; without effect with 'nearest'.",
    )  # fmt: skip
    max_voxels: int = Field(
        1 << 29, ge=1, le=1 << 34, title="Largest result", description="More voxels than this are refused.",
        json_schema_extra={"unit": "voxel"},
    )  # fmt: skip


class Resample(Filter):
    """Interpolation on a grid of another voxel size over the same box.

    The grids' centres coincide and the number of voxels is rounded up, as the Image Biomarker Standardisation
    Initiative's reference manual asks (IBSI 1, section 2.4); every sample lies inside the image's box.  Values equal
    SimpleITK's ``ResampleImageFilter``: beyond the outer voxels' centres linear interpolation takes the border
    voxel, the cubic B-spline a mirrored image.  An axis of one voxel is kept as it is.  ``anti_alias`` smooths an axis
    that becomes ``f`` times coarser with a Gaussian of (f - 1) / 2 voxels, as scikit-image's ``resize``.

    The result is float32 (float64 stays float64); ``nearest`` keeps the voxels' type.  A NaN voxel makes every sample
    NaN that it has a share in.  Colour: each component alone.
    """

    name = "resample"
    title = "Resample to a voxel size"
    group = "Geometry"
    requires = ("scipy",)
    Settings = ResampleSettings
    changes_grid = True

    def apply(self, value: Volume, settings: ResampleSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Resample a scalar or colour volume.

        Raises
        ------
        SettingsError
            If the result would have more than ``max_voxels`` voxels; the size is named.
        """
        source = value.geometry
        target = _grid(source, settings)
        hint = "Use a larger spacing, or crop the image first."
        check_size(target.shape, settings.max_voxels, "resample.spacing_mm", hint)
        sigma = [0.0, 0.0, 0.0]
        if settings.anti_alias:
            factors = [new / old for new, old in zip(target.spacing_kji, source.spacing_kji, strict=True)]
            sigma = [max(0.0, (factor - 1) / 2) for factor in factors]
        array = by_component(
            value.array,
            lambda part, report: regrid(
                part, source, target, settings.interpolator, fill=0.0, sigma_kji=(sigma[0], sigma[1], sigma[2]),
                progress=report, cancel=cancel, message=self.title,
            ),
            progress,
        )  # fmt: skip
        return value.replace(array=array, geometry=target)


def _grid(source: Geometry, settings: ResampleSettings) -> Geometry:
    wanted = (settings.isotropic_mm,) * 3 if settings.isotropic_mm else settings.spacing_mm
    i, j, k = (
        old if new == 0 or size == 1 else new
        for new, old, size in zip(wanted, source.spacing, source.size, strict=True)
    )
    return source if (i, j, k) == source.spacing else source.with_spacing((i, j, k))
