"""MONAI's SwinUNETR."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ._layers import Norm
from ._monai import Blocks, Features, MonaiNetwork, MonaiSettings, Probability


class SwinUNETRSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.SwinUNETR``."""

    depths: tuple[Blocks, Blocks, Blocks, Blocks] = (2, 2, 2, 2)
    num_heads: tuple[Blocks, Blocks, Blocks, Blocks] = (3, 6, 12, 24)
    feature_size: Features = 24
    norm_name: Norm = "instance"
    drop_rate: Probability = 0.0
    attn_drop_rate: Probability = 0.0
    dropout_path_rate: Probability = 0.0
    normalize: bool = True
    downsample: Literal["merging", "mergingv2"] = "merging"
    use_v2: bool = False
    patch_size: Blocks = 2
    window_size: Blocks | tuple[Blocks, ...] = 7
    qkv_bias: bool = True
    mlp_ratio: float = Field(4.0, gt=0, le=16)
    patch_norm: bool = False

    @model_validator(mode="after")
    def _values_fit(self) -> SwinUNETRSettings:
        if self.feature_size % 12:
            raise ValueError(f"feature_size must be a multiple of 12, given {self.feature_size}")
        return self


class SwinUNETR(MonaiNetwork):
    """Hatamizadeh et al. 2022: a shifted-window transformer with a convolutional decoder."""

    name = "swin_unetr"
    title = "SwinUNETR (MONAI)"
    monai = "swin_unetr.SwinUNETR"
    requires = (*MonaiNetwork.requires, "einops")
    Settings = SwinUNETRSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.swin_unetr import SwinUNETR as Architecture

        return Architecture

    def arguments(self, settings: Any, known: set[str]) -> dict[str, Any]:
        """Return MONAI's arguments; before MONAI 1.5 an image size was asked for that has no effect on the weights."""
        values = super().arguments(settings, known)
        return {**values, "img_size": (96,) * settings.spatial_dims} if "img_size" in known else values
