"""Outputs of a network in training: the full one and, for deep supervision, those of coarser levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def outputs(network: torch.nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    """Return the class scores, finest first, each in its own level's resolution.

    MONAI's ``DynUNet`` enlarges its coarser outputs to the image's size and stacks them; at a quarter of a million
    voxels and a dozen classes that costs more than the convolutions of its coarser levels, so they are taken as they
    leave their heads (as nnU-Net does).

    Parameters
    ----------
    image : torch.Tensor, shape (B, C, K, J, I)

    Returns
    -------
    list of torch.Tensor, shape (B, N, k, j, i)
    """
    from monai.networks.nets.dynunet import DynUNet

    if isinstance(network, DynUNet) and network.deep_supervision:
        full = network.output_block(network.skip_layers(image))
        return [full, *network.heads]
    made = network(image)
    return list(made) if isinstance(made, (list, tuple)) else [made]


def at_level(classes: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return class numbers (B, K, J, I) on a coarser level's grid (k, j, i): the voxel in each block's middle."""
    steps = [full // part for full, part in zip(classes.shape[1:], shape, strict=True)]
    if all(step == 1 for step in steps):
        return classes
    k, j, i = steps
    return classes[:, k // 2 :: k, j // 2 :: j, i // 2 :: i]
