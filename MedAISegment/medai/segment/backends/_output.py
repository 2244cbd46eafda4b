"""The class scores in what a network returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medai.core.errors import ModelError

if TYPE_CHECKING:
    import torch


def class_scores(output: Any, batch: torch.Tensor) -> torch.Tensor:
    """Return the tensor of class scores; of several outputs (deep supervision) the first.

    Raises
    ------
    ModelError
        If it is no tensor, or not one score per class and voxel of the batch.
    """
    import torch

    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise ModelError(f"The network returns {type(output).__name__}, expected a tensor of class scores.")
    if output.ndim != batch.ndim or output.shape[0] != batch.shape[0] or output.shape[2:] != batch.shape[2:]:
        raise ModelError(
            f"The network returns shape {tuple(output.shape)} for a batch of shape {tuple(batch.shape)}, expected one "
            "score per class and voxel.",
            hint="It is no segmentation network, or its window in the manifest is wrong.",
        )
    return output
