"""Dice + cross-entropy from class numbers: what MONAI's ``DiceCELoss`` computes, without the one-hot arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SMOOTH = 1e-5


def dice_ce(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return mean soft Dice loss of the foreground classes + mean cross-entropy of all voxels.

    Equal to ``monai.losses.DiceCELoss(include_background=False, softmax=True, batch=True)`` on the one-hot classes
    (Milletari et al., 3DV 2016, for soft Dice; a class's sums run over the whole batch).  The sums over the true
    class are gathered by class number, so that no array of the size of ``scores`` is made for the target.

    Parameters
    ----------
    scores : torch.Tensor, shape (B, N, K, J, I)
        Class scores before softmax, float32.
    classes : torch.Tensor, shape (B, K, J, I)
        Class numbers 0..N-1, int64.
    """
    import torch
    import torch.nn.functional as nn

    count = scores.shape[1]
    logarithm = torch.log_softmax(scores, dim=1)
    entropy = nn.nll_loss(logarithm.reshape(*logarithm.shape[:2], -1), classes.reshape(classes.shape[0], -1))
    probability = logarithm.exp()
    flat = classes.reshape(-1)
    true = probability.gather(1, classes.unsqueeze(1)).reshape(-1)
    # A product with 0/1 rows would be the array that this avoids; index_add sums each voxel's own class only.
    shared = torch.zeros(count, dtype=scores.dtype, device=scores.device).index_add(0, flat, true)
    predicted = probability.sum(dim=(0, 2, 3, 4))
    present = torch.bincount(flat, minlength=count).to(scores.dtype)
    dice = 1.0 - (2.0 * shared + SMOOTH) / (predicted + present + SMOOTH)
    return dice[1:].mean() + entropy
