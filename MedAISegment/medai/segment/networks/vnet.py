"""MONAI's VNet."""

from __future__ import annotations

from typing import Any, Literal

from ._layers import Act
from ._monai import MonaiNetwork, MonaiSettings, Probability


class VNetSettings(MonaiSettings):
    """Arguments of ``monai.networks.nets.VNet``."""

    act: Act = ("elu", {"inplace": True})
    dropout_prob_down: Probability | None = 0.5
    dropout_prob_up: tuple[Probability | None, Probability] = (0.5, 0.5)
    dropout_dim: Literal[1, 2, 3] = 3
    bias: bool = False


class VNet(MonaiNetwork):
    """Milletari et al. 2016: convolutions of 5 x 5 x 5 voxels and residual levels."""

    name = "vnet"
    title = "VNet (MONAI)"
    monai = "vnet.VNet"
    aliases = ("Vnet",)
    Settings = VNetSettings

    def architecture(self) -> Any:
        """Import and return MONAI's class."""
        from monai.networks.nets.vnet import VNet as Architecture

        return Architecture
