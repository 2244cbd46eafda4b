"""A piece of a network's averaged output, finished and in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Slab:
    """Consecutive slices of the model's grid whose class scores will not change any more.

    Parameters
    ----------
    start : int
        First slice along axis 0 (K of the model's grid).  Slabs come in order and without gaps from 0 to the end.
    scores : torch.Tensor, float32, shape (classes, n, J, I), on the CPU
        Mean over windows (by their weights), mirrorings and members of the network's output, before the activation.
        Only valid until the next slab is asked for: its memory is used again.
    maps : dict of str to torch.Tensor, float32, shape (n, J, I)
        ``agreement`` (share of the passes whose winning class is the mean's) and ``mutual_information`` (nats), if
        asked for.
    """

    start: int
    scores: torch.Tensor
    maps: dict[str, torch.Tensor] = field(default_factory=dict)
