"""MONAI's UNETR."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ._layers import Norm
from ._monai import Blocks, Features, MonaiNetwork, MonaiSettings, Probability

Extent = int | tuple[int, ...]


class UNETRSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.UNETR``; ``img_size`` is the only window that it can read."""

    img_size: Extent = Field((96, 96, 96), description="Window in voxels.")
    feature_size: Features = 16
    hidden_size: Features = 768
    mlp_dim: int = Field(3072, ge=1, le=16384)
    num_heads: Blocks = 12
    proj_type: Literal["conv", "perceptron"] = "conv"
    norm_name: Norm = "instance"
    conv_block: bool = True
    res_block: bool = True
    dropout_rate: Probability = 0.0
    qkv_bias: bool = False

    @model_validator(mode="after")
    def _values_fit(self) -> UNETRSettings:
        sizes = (self.img_size,) * self.spatial_dims if isinstance(self.img_size, int) else self.img_size
        if len(sizes) != self.spatial_dims or any(n % 16 or not 16 <= n <= 512 for n in sizes):
            raise ValueError(f"img_size must be {self.spatial_dims} multiples of 16 up to 512, given {self.img_size}")
        if self.hidden_size % self.num_heads:
            raise ValueError("hidden_size must be a multiple of num_heads")
        return self


class UNETR(MonaiNetwork):
    """Hatamizadeh et al. 2021: a transformer reads the window, convolutions build the labels."""

    name = "unetr"
    title = "UNETR (MONAI)"
    monai = "unetr.UNETR"
    requires = (*MonaiNetwork.requires, "einops")
    Settings = UNETRSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.unetr import UNETR as Architecture

        return Architecture
