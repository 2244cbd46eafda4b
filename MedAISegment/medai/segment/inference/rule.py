"""From class scores to a label: the largest wins, or every region above its limit is painted in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifest import Manifest

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Rule:
    """How scores become labels.  A *code* is the channel that decides, or one more than it where regions are painted.

    Parameters
    ----------
    values : array of uint8 or uint16, shape (codes,)
        Label of each code; code 0 is background.
    limit : float, optional
        None: the channel with the largest score wins, the first of equals.  Else: each channel is a region; it is
        where its score is above the limit, later channels paint over earlier ones.
    """

    values: Array
    limit: float | None

    @property
    def codes(self) -> npt.DTypeLike:
        """Smallest unsigned type that holds every code."""
        return np.uint8 if len(self.values) <= 256 else np.uint16

    def settle(self, most: Array, least: Array) -> tuple[Array, Array]:
        """Tell what is certain in blocks of which the largest and smallest score of each channel are known.

        Interpolated scores lie between the two.  So a channel whose largest score is below some other channel's
        smallest cannot win anywhere in the block, and a region is all or nothing if its scores are on one side of
        the limit.

        Parameters
        ----------
        most, least : array of float32, shape (channels, blocks)

        Returns
        -------
        code : array of int, shape (blocks,)
            What holds wherever no channel in doubt says otherwise.
        doubt : array of bool, shape (channels, blocks)
            Channels that have to be interpolated; none where ``code`` is the label of the whole block.
        """
        if self.limit is None:
            doubt = most >= least.max(axis=0)
            code = np.argmax(most, axis=0)
            doubt[:, doubt.sum(axis=0) == 1] = False
            return code, doubt
        channel = np.arange(1, len(most) + 1)[:, None]
        code = np.max(np.where(least > self.limit, channel, 0), axis=0)
        return code, (most > self.limit) & (channel > code)

    def choose(self, scores: Array, counts: list[int]) -> Array:
        """Return which of its channels decides at each voxel of each block.

        Parameters
        ----------
        scores : array of float32, shape (pairs, ...)
            First each block's first channel in doubt, then the second of those blocks that have one, and so on.
        counts : list of int
            Blocks that have a first, second ... channel; falling.

        Returns
        -------
        array of uint8 or uint16, shape (blocks, ...)
            Position among the block's channels; with a limit one more, and 0 where none is above it.
        """
        dtype = np.uint8 if len(counts) < 255 else np.uint16
        chosen = np.zeros((counts[0], *scores.shape[1:]), dtype=dtype)
        best = scores[: counts[0]].copy() if self.limit is None and len(counts) > 1 else None
        offset = 0
        later: Any
        for number, count in enumerate(counts):
            some = scores[offset : offset + count]
            offset += count
            if self.limit is not None:
                later = np.greater(some, self.limit).astype(dtype)
                later *= number + 1
            elif best is None or not number:
                continue
            else:
                later = np.greater(some, best[:count]).astype(dtype)
                later *= number
                np.maximum(best[:count], some, out=best[:count])
            # Positions rise, so the larger one is the later one.
            np.maximum(chosen[:count], later, out=chosen[:count])
        return chosen


def rule_of(manifest: Manifest) -> Rule:
    """Return what a manifest's ``inference`` says about the scores.

    A region is where its probability is above 0.5: its logit is above 0 (sigmoid), or its score above 0.5 if the
    network gives probabilities (``none``) or they are made before (``softmax``).
    """
    entry = manifest.inference
    values = [0, *entry.regions] if entry.regions else [0, *(x.label for x in manifest.labels)]
    dtype = np.uint8 if max(x.label for x in manifest.labels) <= 255 else np.uint16
    limit = None if not entry.regions else 0.0 if entry.activation == "sigmoid" else 0.5
    return Rule(np.asarray(values, dtype=dtype), limit)
