"""MONAI's AttentionUnet."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from ._layers import same_length
from ._monai import Features, MonaiNetwork, MonaiSettings, Probability, Sizes


class AttentionUnetSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.AttentionUnet``."""

    channels: tuple[Features, ...] = Field((16, 32, 64, 128), min_length=2, max_length=10)
    strides: tuple[Sizes, ...] = Field((2, 2, 2), min_length=1, max_length=10)
    kernel_size: Sizes = 3
    up_kernel_size: Sizes = 3
    dropout: Probability = 0.0

    @model_validator(mode="after")
    def _levels_fit(self) -> AttentionUnetSettings:
        same_length("strides", self.strides, len(self.channels) - 1)
        return self


class AttentionUnet(MonaiNetwork):
    """Oktay et al. 2018: gates on the skip connections."""

    name = "attention_unet"
    title = "AttentionUnet (MONAI)"
    monai = "attentionunet.AttentionUnet"
    aliases = ("AttentionUNet",)
    Settings = AttentionUnetSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.attentionunet import AttentionUnet as Architecture

        return Architecture
