"""Settings of a feature extraction."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from medai.core.settings import Settings

from .families import FAMILIES


class IntensityLimits(Settings):
    """Which voxels of a segment count for intensities (IBSI re-segmentation, IF9H).

    The segment's shape is never changed by these: IBSI keeps a morphological and an intensity mask.
    """

    lower: float | None = Field(
        None, title="Lowest intensity", description="Voxels below are left out, in the image's unit; none if empty."
    )
    upper: float | None = Field(
        None, title="Highest intensity", description="Voxels above are left out, in the image's unit; none if empty."
    )
    outlier_sigmas: float | None = Field(
        None,
        gt=0,
        title="Outlier limit",
        description="Voxels further from the segment's mean than this many standard deviations are left out; "
        "IBSI uses 3; none if empty.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> IntensityLimits:
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"the lowest intensity {self.lower:g} is above the highest, {self.upper:g}")
        return self

    @property
    def active(self) -> bool:
        """True if any voxel can be left out."""
        return self.lower is not None or self.upper is not None or self.outlier_sigmas is not None


class ExtractSettings(Settings):
    """What to measure and how."""

    families: dict[str, dict[str, Any]] | None = Field(
        None,
        min_length=1,
        title="Feature families",
        description="Settings by family name; every family that is available with its defaults if empty.",
    )
    limits: IntensityLimits = Field(
        IntensityLimits(), title="Intensity limits", description="Voxels to leave out of intensity features."
    )
    segments: tuple[str, ...] | None = Field(
        None, min_length=1, title="Segments", description="Names of the segments to measure; all if empty."
    )
    allow_error_flags: bool = Field(
        False,
        title="Measure in spite of quality errors",
        description="Measure an image that carries a quality flag of severity error.",
    )

    def resolved(self) -> ExtractSettings:
        """Return settings in which every family is named and every default written out.

        Raises
        ------
        SettingsError
            If a family is unknown or its settings are not valid.
        DependencyError
            If a family cannot run here.
        """
        chosen = {name: {} for name in FAMILIES.names()} if self.families is None else self.families
        full = {
            name: FAMILIES.get(name).Settings.parse(values, where=f"families.{name}").to_dict()
            for name, values in chosen.items()
        }
        return self.model_copy(update={"families": full})
