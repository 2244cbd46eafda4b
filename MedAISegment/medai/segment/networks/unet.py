"""MONAI's UNet."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from ._layers import Act, Norm, same_length
from ._monai import Features, MonaiNetwork, MonaiSettings, Probability, Sizes


class UNetSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.UNet``."""

    channels: tuple[Features, ...] = Field((16, 32, 64, 128), min_length=2, max_length=10)
    strides: tuple[Sizes, ...] = Field((2, 2, 2), min_length=1, max_length=10)
    kernel_size: Sizes = 3
    up_kernel_size: Sizes = 3
    num_res_units: int = Field(0, ge=0, le=16)
    act: Act = "prelu"
    norm: Norm = "instance"
    dropout: Probability = 0.0
    bias: bool = True
    adn_ordering: str = Field("NDA", pattern="^[NDA]{1,3}$")

    @model_validator(mode="after")
    def _levels_fit(self) -> UNetSettings:
        same_length("strides", self.strides, len(self.channels) - 1)
        return self


class UNet(MonaiNetwork):
    """Kerfoot et al. 2019: a U-Net with residual units."""

    name = "unet"
    title = "UNet (MONAI)"
    monai = "unet.UNet"
    aliases = ("Unet",)
    Settings = UNetSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.unet import UNet as Architecture

        return Architecture
