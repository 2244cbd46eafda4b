"""Settings of domain randomisation: images that are made from label maps, different in every sample."""

from __future__ import annotations

from pydantic import Field, model_validator

from medai.core.settings import Settings

Range = tuple[float, float]


class Tissue(Settings):
    """Values of the label maps that share one distribution of intensities in an image."""

    name: str = Field(min_length=1, max_length=64)
    values: tuple[int, ...] = Field(min_length=1, description="Values in the label maps.")
    label: int = Field(0, ge=0, le=65535, description="The label of the model that these voxels get; 0: background.")
    typical: dict[str, Range] = Field(
        default_factory=dict, description="Range of the mean (0 to 1) in named contrasts, such as T1 or T2."
    )


class DeformSettings(Settings):
    """Where a sample lies and how it is bent."""

    rotate_deg: float = Field(20, ge=0, le=180, description="Largest angle about each axis.")
    scale: float = Field(0.15, ge=0, lt=1, description="Largest relative change of size, per axis.")
    shear: float = Field(0.05, ge=0, lt=1)
    shift_mm: float = Field(25, ge=0, description="Largest shift of the patch from the labelled structures' middle.")
    bend_mm: tuple[Range, ...] = Field(
        ((40.0, 4.0), (16.0, 1.2)), description="Random smooth displacement: (distance of control points, SD) in mm."
    )
    flip: bool = Field(True, description="Mirror half of the samples left to right; paired labels change places.")


class AcquireSettings(Settings):
    """What a scanner does to the image; probabilities are per sample."""

    thick: float = Field(0.5, ge=0, le=1, description="Probability of thick slices along one random axis.")
    thickness_mm: Range = Field((1.5, 6.0), description="Thickness of thick slices.")
    voxel_mm: Range = Field((1.0, 2.2), description="Voxel size along the other axes, or all.")
    bias: Range = Field((0.0, 0.35), description="SD of the logarithm of the smooth multiplicative field.")
    bias_mm: Range = Field((50.0, 100.0), description="Distance of its control points.")
    noise: Range = Field((0.0, 0.06), description="SD of the noise, as a share of the full range.")
    gamma: float = Field(0.3, ge=0, description="SD of the logarithm of the exponent.")
    gain: Range = Field((0.8, 1.25), description="Factor after the range was set to 0..1: percentiles differ.")


class SynthesisSettings(Settings):
    """A recipe of domain randomisation.

    Billot B. et al., SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining,
    Medical Image Analysis 86, 102789 (2023): label maps are deformed, each tissue gets random intensities, and a
    random scanner adds its bias field, resolution and noise.
    """

    detail_mm: float = Field(1.0, gt=0, description="Voxel size in which the label maps are held and images are made.")
    tissues: tuple[Tissue, ...] = Field(min_length=1)
    pairs: tuple[tuple[int, int], ...] = Field((), description="Labels that change places when a sample is mirrored.")
    centre_on: tuple[int, ...] = Field((), description="Labels of the model around whose middle patches lie; (): all.")
    deform: DeformSettings = DeformSettings()
    acquire: AcquireSettings = AcquireSettings()
    mean: Range = Field((0.05, 0.95), description="Mean of a tissue in a random contrast.")
    sd: Range = Field((0.01, 0.10), description="SD inside a tissue.")
    typical: float = Field(0.4, ge=0, le=1, description="Probability of a named contrast instead of a random one.")
    typical_sd: float = Field(0.05, ge=0, description="Largest SD inside a tissue of a named contrast.")
    empty_background: float = Field(0.8, ge=0, le=1, description="Probability that air is black, else any grey.")
    stripped: float = Field(0.12, ge=0, le=1, description="Probability that all but the labels in 'strip_to' is black.")
    strip_to: tuple[int, ...] = Field((), description="Labels that are left by removing the skull.")
    cut: float = Field(0.25, ge=0, le=1, description="Probability that the field of view ends inside the patch.")
    cut_share: float = Field(0.4, gt=0, lt=1, description="Largest share of an axis that is cut away.")

    @model_validator(mode="after")
    def _values_belong_to_one_tissue(self) -> SynthesisSettings:
        seen: set[int] = set()
        for tissue in self.tissues:
            twice = seen & set(tissue.values)
            if twice or len(set(tissue.values)) != len(tissue.values):
                raise ValueError(f"a value belongs to two tissues: {sorted(twice)[:5] or tissue.name}")
            seen |= set(tissue.values)
        if 0 in seen:
            raise ValueError("the value 0 is the background and belongs to no tissue")
        return self

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Names of the contrasts that every tissue has a range for, sorted."""
        shared = set(self.tissues[0].typical)
        for tissue in self.tissues:
            shared &= set(tissue.typical)
        return tuple(sorted(shared))
