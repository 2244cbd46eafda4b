"""MONAI's DynUNet."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from ._layers import Act, Norm, same_length
from ._monai import Features, MonaiNetwork, MonaiSettings, Probability, Sizes


class DynUNetSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.DynUNet``."""

    kernel_size: tuple[Sizes, ...] = Field((3, 3, 3, 3), min_length=3, max_length=10)
    strides: tuple[Sizes, ...] = Field((1, 2, 2, 2), min_length=3, max_length=10)
    upsample_kernel_size: tuple[Sizes, ...] = Field((2, 2, 2), min_length=2, max_length=10)
    filters: tuple[Features, ...] | None = Field(None, max_length=10)
    dropout: Probability | None = None
    norm_name: Norm = ("instance", {"affine": True})
    act_name: Act = ("leakyrelu", {"inplace": True, "negative_slope": 0.01})
    deep_supervision: bool = False
    deep_supr_num: int = Field(1, ge=1, le=8)
    res_block: bool = False
    trans_bias: bool = False

    @model_validator(mode="after")
    def _levels_fit(self) -> DynUNetSettings:
        levels = len(self.kernel_size)
        same_length("strides", self.strides, levels)
        same_length("upsample_kernel_size", self.upsample_kernel_size, levels - 1)
        if self.filters is not None and len(self.filters) < levels:
            raise ValueError(f"filters must have at least {levels} entries, given {len(self.filters)}")
        if self.deep_supervision and self.deep_supr_num >= levels - 1:
            raise ValueError(f"deep_supr_num must be less than {levels - 1}, given {self.deep_supr_num}")
        return self


class DynUNet(MonaiNetwork):
    """Isensee et al. 2019: the network of nnU-Net's first version."""

    name = "dynunet"
    title = "DynUNet (MONAI)"
    monai = "dynunet.DynUNet"
    aliases = ("DynUnet", "Dynunet")
    Settings = DynUNetSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.dynunet import DynUNet as Architecture

        return Architecture
