"""How far several passes over one window differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..manifest import InferenceEntry

if TYPE_CHECKING:
    import torch

MAPS = ("agreement", "mutual_information")
CHUNK_BYTES = 2**25
"""Probabilities that are computed at a time."""


class Disagreement:
    """The mean of passes over one window, how often they agree with it, and their mutual information.

    Agreement is the share of the passes whose label is that of the mean scores.  Mutual information is the entropy of
    the mean probabilities minus the mean of the passes' entropies, in nats (Gal et al., ICML 2017): what the passes do
    not know, without what each of them finds ambiguous.  Channels that are regions of their own have two-class
    entropies; of theirs the largest counts.

    Parameters
    ----------
    entry : InferenceEntry
        Its activation and regions.
    """

    def __init__(self, entry: InferenceEntry) -> None:
        self._entry = entry
        self._binary = bool(entry.regions) or entry.activation == "sigmoid"
        self._labels: list[torch.Tensor] = []

    def add(self, scores: torch.Tensor) -> None:
        """Take a pass into account.

        Parameters
        ----------
        scores : torch.Tensor, any float type, shape (classes, K, J, I)
            Before the activation; turned back if the window was mirrored.
        """
        import torch

        if not self._labels:
            self._scores = torch.zeros(scores.shape, dtype=torch.float32, device=scores.device)
            self._chances = torch.zeros_like(self._scores)
            channels = scores.shape[0] if self._binary else 1
            self._entropy = torch.zeros((channels, *scores.shape[1:]), dtype=torch.float32, device=scores.device)
        self._scores += scores
        labels = torch.empty(scores.shape[1:], dtype=torch.int32, device=scores.device)
        for part in self._parts(scores.shape):
            chances = self._probabilities(scores[:, part].float())
            self._chances[:, part] += chances
            self._entropy[:, part] += self._entropy_of(chances)
            labels[part] = self._label(chances)
        self._labels.append(labels)

    def finish(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean scores (classes, K, J, I) and the maps of :data:`MAPS` (2, K, J, I)."""
        import torch

        count = len(self._labels)
        scores = self._scores.div_(count)
        maps = torch.zeros((len(MAPS), *scores.shape[1:]), dtype=torch.float32, device=scores.device)
        for part in self._parts(scores.shape):
            label = self._label(self._probabilities(scores[:, part]))
            for labels in self._labels:
                maps[0, part] += labels[part] == label
            between = self._entropy_of(self._chances[:, part] / count) - self._entropy[:, part] / count
            maps[1, part] = between.amax(0).clamp_(min=0)
        maps[0] /= count
        return scores, maps

    def _parts(self, shape: torch.Size) -> list[slice]:
        step = max(1, CHUNK_BYTES // (4 * shape[0] * shape[2] * shape[3]))
        return [slice(n, n + step) for n in range(0, shape[1], step)]

    def _probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        import torch

        if self._entry.activation == "softmax":
            return torch.softmax(scores, dim=0)
        return torch.sigmoid(scores) if self._entry.activation == "sigmoid" else scores

    def _entropy_of(self, chances: torch.Tensor) -> torch.Tensor:
        import torch

        p = chances.clamp(0, 1)
        if self._binary:
            return torch.special.entr(p) + torch.special.entr(1 - p)
        return torch.special.entr(p).sum(0, keepdim=True)

    def _label(self, chances: torch.Tensor) -> torch.Tensor:
        import torch

        if not self._entry.regions:
            return chances.argmax(0).int()
        label = torch.zeros(chances.shape[1:], dtype=torch.int32, device=chances.device)
        for channel, value in enumerate(self._entry.regions):
            label[chances[channel] > 0.5] = value
        return label


def compare(found: Sequence[Disagreement], scores: torch.Tensor, flip: tuple[int, ...]) -> None:
    """Take a pass over a batch of windows (B, classes, K, J, I) into account, turned back along axes of the window."""
    import torch

    with torch.inference_mode():
        for one, part in zip(found, scores, strict=True):
            one.add(torch.flip(part, [axis + 1 for axis in flip]) if flip else part)
