"""MONAI's SegResNet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ._layers import Act, Norm, same_length
from ._monai import Blocks, Features, MonaiNetwork, MonaiSettings, Probability


class SegResNetSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.SegResNet``."""

    init_filters: Features = 8
    dropout_prob: Probability | None = None
    act: Act = ("relu", {"inplace": True})
    norm: Norm = ("group", {"num_groups": 8})
    use_conv_final: bool = True
    blocks_down: tuple[Blocks, ...] = Field((1, 2, 2, 4), min_length=2, max_length=8)
    blocks_up: tuple[Blocks, ...] = Field((1, 1, 1), min_length=1, max_length=8)
    upsample_mode: Literal["nontrainable", "deconv", "pixelshuffle"] = "nontrainable"

    @model_validator(mode="after")
    def _levels_fit(self) -> SegResNetSettings:
        same_length("blocks_up", self.blocks_up, len(self.blocks_down) - 1)
        return self


class SegResNet(MonaiNetwork):
    """Myronenko 2018: residual blocks, without the auto-encoder branch."""

    name = "segresnet"
    title = "SegResNet (MONAI)"
    monai = "segresnet.SegResNet"
    aliases = ("SegResnet", "Segresnet")
    Settings = SegResNetSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.segresnet import SegResNet as Architecture

        return Architecture
