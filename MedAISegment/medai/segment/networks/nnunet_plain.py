"""nnU-Net's plain U-Net."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ._base import NetworkKind
from ._nnunet import NnUNetSettings, layers

if TYPE_CHECKING:
    import torch


class PlainSettings(NnUNetSettings):
    """Layout of a plain U-Net."""

    activation_first: bool = Field(False, description="Activation before the norm, not after it.")


class NnUNetPlain(NetworkKind):
    """Two or more convolutions a level, each followed by norm and activation (``PlainConvUNet``)."""

    name = "nnunet_plain"
    title = "U-Net (nnU-Net)"
    requires = ("torch", "dynamic_network_architectures")
    Settings = PlainSettings

    def build(self, settings: PlainSettings) -> torch.nn.Module:
        """Return the network with random weights."""
        from dynamic_network_architectures.architectures.unet import PlainConvUNet

        network: torch.nn.Module = PlainConvUNet(
            **layers(settings), n_conv_per_stage=list(settings.blocks), nonlin_first=settings.activation_first
        )
        return network
