"""MONAI's BasicUNet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ._layers import Act, Norm
from ._monai import Features, MonaiNetwork, MonaiSettings, Probability


class BasicUNetSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.BasicUNet``."""

    features: tuple[Features, Features, Features, Features, Features, Features] = (32, 32, 64, 128, 256, 32)
    act: Act = ("leakyrelu", {"negative_slope": 0.1, "inplace": True})
    norm: Norm = ("instance", {"affine": True})
    bias: bool = True
    dropout: Probability = 0.0
    upsample: Literal["deconv", "pixelshuffle", "nontrainable"] = Field("deconv")


class BasicUNet(MonaiNetwork):
    """Falk et al., Nature Methods 16, 67 (2019): five levels of two convolutions."""

    name = "basic_unet"
    title = "BasicUNet (MONAI)"
    monai = "basic_unet.BasicUNet"
    aliases = ("BasicUnet", "Basicunet", "basicunet")
    Settings = BasicUNetSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.basic_unet import BasicUNet as Architecture

        return Architecture
