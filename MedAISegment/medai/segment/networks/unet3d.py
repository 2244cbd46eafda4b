"""The U-Net that MedAI trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from medai.core.settings import Settings

from ._base import NetworkKind

if TYPE_CHECKING:
    import torch


class UNet3DSettings(Settings):
    """A U-Net as nnU-Net builds it: two convolutions a level, instance norm, leaky ReLU, strided down-sampling.

    Source of the layout: Isensee et al., Nature Methods 18, 203 (2021); MONAI's ``DynUNet``.
    """

    in_channels: int = Field(1, ge=1, le=64, description="Image channels.")
    out_channels: int = Field(2, ge=2, le=1024, description="Classes, background included.")
    filters: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (32, 64, 128, 256), min_length=3, max_length=7, description="Features per level."
    )
    deep_supervision: bool = Field(False, description="Extra outputs at coarser levels, used in training only.")


class UNet3D(NetworkKind):
    """MONAI's DynUNet with 3 x 3 x 3 convolutions and each level half as large as the one above it."""

    name = "unet3d"
    title = "U-Net (MedAI)"
    requires = ("torch", "monai>=1.4")
    Settings = UNet3DSettings

    def build(self, settings: UNet3DSettings) -> torch.nn.Module:
        """Return the network with random weights."""
        from monai.networks.nets.dynunet import DynUNet

        levels = len(settings.filters)
        network: torch.nn.Module = DynUNet(
            spatial_dims=3,
            in_channels=settings.in_channels,
            out_channels=settings.out_channels,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(settings.filters),
            norm_name="instance",
            deep_supervision=settings.deep_supervision,
            deep_supr_num=min(2, levels - 2),
        )
        return network
