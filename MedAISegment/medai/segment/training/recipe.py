"""A recipe: everything that decides a training, as frozen settings that are stored with the model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medai.core.settings import Settings

from ..inference.prepare import PrepareSettings
from ..manifest import Description, LabelEntry, NetworkEntry, RegionHint
from .synthesis_settings import SynthesisSettings


class OptimiserSettings(Settings):
    """How the weights are moved."""

    epochs: int = Field(100, ge=1, le=100_000, description="Passes over the training cases.")
    samples_per_epoch: int = Field(0, ge=0, le=1_000_000, description="Samples of an epoch; 0: each case once.")
    batch: int = Field(2, ge=1, le=256, description="Patches per step.")
    kind: Literal["adamw", "sgd"] = Field("adamw", description="sgd: with Nesterov momentum 0.99, as nnU-Net.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak rate, after the warm-up.")
    schedule: Literal["cosine", "poly"] = Field(
        "cosine", description="How the rate falls to zero: half a cosine, or (1 - progress) ** 0.9 (nnU-Net)."
    )
    weight_decay: float = Field(1e-4, ge=0, le=1)
    warmup_steps: int = Field(200, ge=0)
    ema: float = Field(0.995, ge=0, lt=1, description="Decay of the averaged weights that are kept; 0 for none.")
    gradient_clip: float = Field(12.0, gt=0)
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Type of the network's products in training (automatic mixed precision)."
    )
    deep_supervision: bool = Field(True, description="Also train outputs of coarser levels, weighted 1/2, 1/4.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a CUDA device if there is one.")
    workers: int = Field(0, ge=0, le=64, description="Threads that prepare samples beside the network.")
    threads: int = Field(2, ge=1, le=256, description="CPU threads; another number changes sums in the last digits.")


class AugmentSettings(Settings):
    """Random changes of each patch; probabilities are per patch."""

    affine: float = Field(0.7, ge=0, le=1, description="Probability of rotation, scaling and shift.")
    rotate_deg: float = Field(15, ge=0, le=180)
    scale: float = Field(0.15, ge=0, lt=1, description="Largest relative change of size.")
    translate: float = Field(4, ge=0, description="Largest shift in voxels.")
    noise: float = Field(0.2, ge=0, le=1)
    smooth: float = Field(0.2, ge=0, le=1)
    coarse: float = Field(0.2, ge=0, le=1, description="Probability of simulated low resolution.")
    bias: float = Field(0.2, ge=0, le=1, description="Probability of a smooth multiplicative field.")
    contrast: float = Field(0.3, ge=0, le=1, description="Probability of a gamma change.")
    brightness: float = Field(0.3, ge=0, le=1)
    foreground: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the patches that are taken around a voxel of a random class (nnU-Net: 1/3).",
    )


class Recipe(Settings):
    """A training, complete: same recipe, same data, same machine, same weights."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Folder name of the model.")
    description: Description
    labels: tuple[LabelEntry, ...] = Field(min_length=1)
    prepare: PrepareSettings = PrepareSettings()
    region: RegionHint | None = None
    patch: tuple[int, int, int] = Field((64, 64, 64), description="Voxels along K, J, I.")
    filters: tuple[int, ...] = Field(
        (24, 48, 96, 128), min_length=3, max_length=7, description="Features per level of the usual U-Net."
    )
    network: NetworkEntry | None = Field(
        None, description="Another network of the registry and its settings; None: the usual U-Net with 'filters'."
    )
    optimiser: OptimiserSettings = OptimiserSettings()
    augment: AugmentSettings = AugmentSettings()
    synthesis: SynthesisSettings | None = Field(
        None, description="If given, images are made from the label maps; those of the data set are not read."
    )
    held_back: int = Field(0, ge=0, description="Cases that training never sees, chosen by the seed.")
    seed: int = Field(20261122, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _patch_fits_network(self) -> Recipe:
        if self.network is not None:
            return self
        step = 2 ** (len(self.filters) - 1)
        if any(n % step for n in self.patch):
            raise ValueError(f"each patch size must be a multiple of {step}, given {self.patch}")
        return self
