"""nnU-Net's U-Net with a residual encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ._base import NetworkKind
from ._nnunet import NnUNetSettings, layers

if TYPE_CHECKING:
    import torch


class ResidualSettings(NnUNetSettings):
    """Layout of a U-Net with a residual encoder; ``blocks`` counts residual blocks."""

    stem: int = Field(0, ge=0, le=8192, description="Channels of the first convolution; 0: those of the first level.")


class NnUNetResidual(NetworkKind):
    """Residual blocks of two convolutions on the way down (``ResidualEncoderUNet``, nnU-Net's ResEnc presets)."""

    name = "nnunet_residual"
    title = "Residual encoder U-Net (nnU-Net)"
    requires = ("torch", "dynamic_network_architectures")
    Settings = ResidualSettings

    def build(self, settings: ResidualSettings) -> torch.nn.Module:
        """Return the network with random weights."""
        from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

        network: torch.nn.Module = ResidualEncoderUNet(
            **layers(settings), n_blocks_per_stage=list(settings.blocks), stem_channels=settings.stem or None
        )
        return network
