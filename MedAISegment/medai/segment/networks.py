"""Networks that a model folder may name: an allow-list, built from plain values, never from code in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from medai.core.errors import ManifestError
from medai.core.settings import Settings

if TYPE_CHECKING:
    import torch


class UNet3DSettings(Settings):
    """A U-Net as nnU-Net builds it: two convolutions a level, instance norm, leaky ReLU, strided down-sampling.

    Source of the layout: Isensee et al., Nature Methods 18, 203 (2021); MONAI's ``DynUNet``.
    """

    in_channels: int = Field(1, ge=1, le=64, description="Image channels.")
    out_channels: int = Field(2, ge=2, le=1024, description="Classes, background included.")
    filters: tuple[int, ...] = Field((32, 64, 128, 256), min_length=3, max_length=7, description="Features per level.")
    deep_supervision: bool = Field(False, description="Extra outputs at coarser levels, used in training only.")


def _unet3d(spec: dict[str, Any]) -> torch.nn.Module:
    from monai.networks.nets.dynunet import DynUNet

    s = UNet3DSettings.parse(spec, where="network.settings")
    levels = len(s.filters)
    return DynUNet(
        spatial_dims=3,
        in_channels=s.in_channels,
        out_channels=s.out_channels,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=list(s.filters),
        norm_name="instance",
        deep_supervision=s.deep_supervision,
        deep_supr_num=min(2, levels - 2),
    )


NETWORKS: dict[str, Callable[[dict[str, Any]], torch.nn.Module]] = {"unet3d": _unet3d}
"""Name in a manifest -> builder.  Only names in here are ever built."""


def build_network(name: str, settings: dict[str, Any]) -> torch.nn.Module:
    """Build a network by its allow-listed name.

    Parameters
    ----------
    name : str
        A key of :data:`NETWORKS`.
    settings : dict
        Plain values that the network's settings class validates.

    Raises
    ------
    ManifestError
        If the name is not allowed.
    SettingsError
        If a value does not fit.
    """
    if name not in NETWORKS:
        raise ManifestError(
            f"The network {name!r} is not one that MedAI builds.", hint=f"Known: {', '.join(sorted(NETWORKS))}."
        )
    return NETWORKS[name](settings)
