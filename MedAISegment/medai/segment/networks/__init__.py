"""Networks that a model may name, one file each: an allow-list, built from plain values, never from code in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medai.core.errors import ManifestError
from medai.core.registry import Registry

from ._base import NetworkKind
from .unet3d import UNet3DSettings

if TYPE_CHECKING:
    import torch

NETWORKS: Registry[NetworkKind] = Registry("network", __name__, NetworkKind)
"""Only what is registered in here is ever built."""


def build_network(name: str, settings: dict[str, Any]) -> torch.nn.Module:
    """Build a network by its allow-listed name.

    Parameters
    ----------
    name : str
        A name in :data:`NETWORKS`.
    settings : dict
        Plain values that the network's settings class validates.

    Raises
    ------
    ManifestError
        If the name is not allowed.
    SettingsError
        If a value does not fit.
    DependencyError
        If a package that the network needs is not installed.
    """
    known = sorted(kind.name for kind in NETWORKS.classes())
    if name not in known:
        raise ManifestError(f"The network {name!r} is not one that MedAI builds.", hint=f"Known: {', '.join(known)}.")
    kind = NETWORKS.create(name)
    return kind.build(kind.Settings.parse(settings, where="network.settings"))


__all__ = ["NETWORKS", "NetworkKind", "UNet3DSettings", "build_network"]
