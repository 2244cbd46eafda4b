"""MONAI's SegResNetDS."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ._layers import Act, Norm, same_length
from ._monai import Blocks, Features, MonaiNetwork, MonaiSettings


class SegResNetDSSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.SegResNetDS``."""

    init_filters: Features = 32
    act: Act = "relu"
    norm: Norm = "batch"
    blocks_down: tuple[Blocks, ...] = Field((1, 2, 2, 4), min_length=2, max_length=8)
    blocks_up: tuple[Blocks, ...] | None = Field(None, max_length=8)
    dsdepth: int = Field(1, ge=1, le=8)
    upsample_mode: Literal["deconv", "nontrainable", "pixelshuffle"] = "deconv"
    resolution: tuple[Annotated[float, Field(gt=0, le=1000)], ...] | None = Field(
        None, description="Voxel size in mm along the network's axes, which shapes anisotropic kernels."
    )

    @model_validator(mode="after")
    def _levels_fit(self) -> SegResNetDSSettings:
        if self.blocks_up is not None:
            same_length("blocks_up", self.blocks_up, len(self.blocks_down) - 1)
        if self.resolution is not None:
            same_length("resolution", self.resolution, self.spatial_dims)
        return self


class SegResNetDS(MonaiNetwork):
    """SegResNet with deep supervision, as Auto3DSeg trains it; one output outside training."""

    name = "segresnet_ds"
    title = "SegResNetDS (MONAI)"
    monai = "segresnet_ds.SegResNetDS"
    Settings = SegResNetDSSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.segresnet_ds import SegResNetDS as Architecture

        return Architecture
