"""A detector's recipe: everything that decides its training, as frozen settings that are stored with it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medai.core.settings import Settings

from ..inference.prepare import ChannelEntry, Normalise, PrepareSettings
from ..manifest import Description, LabelEntry
from .manifest import (
    AnchorEntry,
    DetectorNetwork,
    MaskEntry,
    SelectEntry,
    check_prepare,
    check_window,
)
from .synthesis import SynthesisSettings

CT = PrepareSettings(
    spacing=(2.0, 2.0, 2.0),
    channels=(
        ChannelEntry(
            name="CT", modality="CT", normalise=(Normalise(method="range", low=-1000.0, high=400.0, clip=True),)
        ),
    ),
)
"""Air to bone as 0 to 1, on voxels of 2 mm."""


class DetectorOptimiser(Settings):
    """How the weights are moved."""

    epochs: int = Field(20, ge=1, le=100_000)
    steps: int = Field(50, ge=1, le=100_000, description="Steps in an epoch; checkpoints are written between epochs.")
    batch: int = Field(4, ge=1, le=256, description="Windows in a step.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Peak of AdamW; warm-up, then cosine to zero.")
    weight_decay: float = Field(1e-4, ge=0, le=1)
    warmup_steps: int = Field(50, ge=0)
    ema: float = Field(0.99, ge=0, lt=1, description="Decay of the averaged weights that are kept; 0 for none.")
    gradient_clip: float = Field(5.0, gt=0)
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Of the forward pass.")
    threads: int = Field(1, ge=1, le=256)


class WindowSettings(Settings):
    """How training windows are drawn and changed."""

    inside: float = Field(0.85, ge=0, le=1, description="Share of windows near a finding or a place for one.")
    distinct: int = Field(
        0,
        ge=0,
        le=20_000,
        description="So many windows are drawn and used again, mirrored anew; 0: each is drawn anew.",
    )
    count: tuple[int, int] = Field((0, 3), description="Synthetic nodules in a window.")
    shift_hu: float = Field(20.0, ge=0, description="Largest shift of all values.")
    scale: float = Field(0.04, ge=0, lt=1, description="Largest relative change of all values, about air.")
    noise_hu: float = Field(15.0, ge=0, description="Largest SD of more noise.")


class PhantomPool(Settings):
    """Generated chests to train on, beside real backgrounds."""

    count: int = Field(8, ge=0, le=1000)
    seed: int = Field(1, ge=0, lt=2**32)
    in_plane_mm: tuple[float, float] = Field((1.4, 2.4), description="Voxel size along I and J, uniform between these.")
    slice_mm: tuple[float, float] = (1.25, 3.0)


class DetectorRecipe(Settings):
    """A training, complete: same recipe, same data, same machine, same weights."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    description: Description
    labels: tuple[LabelEntry, ...] = Field((LabelEntry(label=1, name="Nodule"),), min_length=1, max_length=256)
    prepare: PrepareSettings = CT
    window: tuple[int, int, int] = (48, 48, 48)
    network: DetectorNetwork = DetectorNetwork()
    anchors: AnchorEntry = AnchorEntry()
    loss: Literal["focal", "hard_negatives"] = Field(
        "focal",
        description="focal: over all anchors (Lin et al., ICCV 2017). hard_negatives: cross-entropy over a sample, as "
        "in MONAI's LUNA16 example.",
    )
    select: SelectEntry = SelectEntry()
    mask: MaskEntry | None = MaskEntry()
    synthesis: SynthesisSettings = SynthesisSettings()
    phantoms: PhantomPool = PhantomPool()
    windows: WindowSettings = WindowSettings()
    optimiser: DetectorOptimiser = DetectorOptimiser()
    mask_optimiser: DetectorOptimiser = DetectorOptimiser(epochs=10, batch=8, warmup_steps=20)
    seed: int = Field(20261122, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _parts_fit(self) -> DetectorRecipe:
        check_window(self.window, self.network.settings)
        check_prepare(self.prepare, self.network.settings)
        return self
