"""Numbers per label from class scores on the model's grid, while the slices pass by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, no_progress

from ..slabs import for_slabs
from .rule import Rule

Array = npt.NDArray[Any]
CHUNK_VALUES = 1 << 18
"""Scores (float32) worked on at a time: 1 MiB, what a core's second cache holds."""
TINY = 1e-12


class Measures:
    """Sums over the voxels of the model's grid that each code won.

    Parameters
    ----------
    rule : Rule
        What the codes mean.
    activation : {"softmax", "sigmoid", "none"}
        What makes probabilities of the scores.
    entropy : bool
        Also give the entropy of each voxel.
    maps : tuple of str
        Names of maps of which the mean is wanted.
    """

    def __init__(self, rule: Rule, activation: str, entropy: bool, maps: tuple[str, ...]) -> None:
        self.rule, self.activation, self.entropy, self.maps = rule, activation, entropy, maps
        codes = len(rule.values)
        self.voxels = np.zeros(codes, dtype=np.int64)
        self.boundary = np.zeros(codes, dtype=np.int64)
        named = ("probability", *(("entropy",) if entropy else ()), *maps)
        self.sums = {name: np.zeros(codes) for name in named}
        self._last: tuple[Array, Array] | None = None

    def add(self, scores: Array, winners: Array, maps: dict[str, Array], cancel: CancelToken) -> Array | None:
        """Add consecutive slices.

        Parameters
        ----------
        scores : array of float32, shape (channels, slices, J, I)
        winners : array of uint8 or uint16, shape (slices, J, I)
            Codes.
        maps : dict of str to array of float32, shape (slices, J, I)

        Returns
        -------
        array of float32, shape (slices, J, I), or None
            Entropy from 0 to 1, if wanted; see :func:`_class_entropy` and :func:`_region_entropy`.
        """
        channels, slices, height, width = scores.shape
        entropy = np.empty((slices, height, width), dtype=np.float32) if self.entropy else None
        rows = max(1, CHUNK_VALUES // (channels * width))
        chunks = -(-height // rows)

        def run(start: int, stop: int) -> list[tuple[Array, Array]]:
            found = []
            for number in range(start, stop):
                n, chunk = divmod(number, chunks)
                part = slice(chunk * rows, (chunk + 1) * rows)
                found.append(
                    self._chunk(scores[:, n, part], winners[n, part], None if entropy is None else entropy[n, part])
                )
            return found

        batches = for_slabs(slices * chunks, run, slab=16, progress=no_progress, cancel=cancel)
        # Sums are taken in the order of the chunks, so that they do not hang on which thread was first.
        for batch in batches:
            for code, value in batch:
                if len(code):
                    self.sums["probability"] += np.bincount(code, weights=value, minlength=len(self.voxels))
        beside = {name: maps[name] for name in self.maps}
        if entropy is not None:
            beside["entropy"] = entropy
        for n in range(slices):
            cancel.check()
            codes = winners[n].ravel()
            self.voxels += np.bincount(codes, minlength=len(self.voxels))
            for name, values in beside.items():
                self.sums[name] += np.bincount(codes, weights=values[n].ravel(), minlength=len(self.voxels))
            self._edges(winners[n])
        return entropy

    def finish(self) -> None:
        """Count the last slice's boundary."""
        if self._last is not None:
            self.boundary += np.bincount(self._last[0][self._last[1]], minlength=len(self.boundary))
            self._last = None

    def label(self, value: int) -> dict[str, Any]:
        """Return the numbers of one label: over all codes that stand for it; None where it has no voxel here.

        ``model_voxels``: its voxels of the model's grid.  ``mean_probability``: mean over them of the winner's
        probability.  ``boundary_share``: share of them with a neighbour across a face that has another label.
        ``mean_NAME``: mean over them of each map, and of the entropy if it is wanted.
        """
        codes = np.flatnonzero(self.rule.values == value)
        codes = codes[codes > 0]
        voxels = int(self.voxels[codes].sum())
        facts: dict[str, Any] = {
            "model_voxels": voxels,
            "boundary_share": int(self.boundary[codes].sum()) / voxels if voxels else None,
        }
        for name, sums in self.sums.items():
            facts[f"mean_{name}"] = float(sums[codes].sum()) / voxels if voxels else None
        return facts

    def _edges(self, winners: Array) -> None:
        plane = self.rule.values[winners]
        edge = np.zeros(plane.shape, dtype=bool)
        for differs, one, other in (
            (plane[1:] != plane[:-1], edge[1:], edge[:-1]),
            (plane[:, 1:] != plane[:, :-1], edge[:, 1:], edge[:, :-1]),
        ):
            one |= differs
            other |= differs
        if self._last is not None:
            before, before_edge = self._last
            differs = self.rule.values[before] != plane
            before_edge |= differs
            edge |= differs
        self.finish()
        self._last = (winners.copy(), edge)

    def _chunk(self, scores: Array, codes: Array, entropy: Array | None) -> tuple[Array, Array]:
        """Return the codes that are not background and the winner's probability there; fill the entropy."""
        columns = np.flatnonzero(codes.any(axis=0)) if entropy is None else np.arange(codes.shape[1])
        if not len(columns):
            return codes[:0, 0], np.zeros(0)
        part = slice(int(columns[0]), int(columns[-1]) + 1)
        some, codes = scores[:, :, part], codes[:, part]
        if self.activation == "softmax" and self.rule.limit is None:
            probability = _softmax_of_largest(some, entropy)
        else:
            channel = codes.astype(np.intp) - int(self.rule.limit is not None)
            probability = np.take_along_axis(some, np.maximum(channel, 0)[None], axis=0)[0]
            if self.activation == "sigmoid":
                probability = _sigmoid(probability)
            if entropy is not None:
                values = _sigmoid(some) if self.activation == "sigmoid" else some
                entropy[...] = (
                    _class_entropy(values)
                    if self.rule.limit is None and self.activation != "sigmoid"
                    else _region_entropy(values)
                )
        inside = codes > 0
        return codes[inside], probability[inside]


def _softmax_of_largest(scores: Array, entropy: Array | None) -> Array:
    """Return the largest of the softmax; ``entropy`` gets that of :func:`_class_entropy`, from the same numbers."""
    shifted = scores - scores.max(axis=0)
    if entropy is None:
        return np.asarray(1 / np.exp(shifted, out=shifted).sum(axis=0))
    share = np.exp(shifted)
    total = share.sum(axis=0)
    np.multiply(share, shifted, out=share)
    value = np.log(total) - share.sum(axis=0) / total
    entropy[...] = np.clip(value / math.log(max(len(scores), 2)), 0, 1)
    return np.asarray(1 / total)


def _class_entropy(probabilities: Array) -> Array:
    """Shannon's entropy of classes that exclude each other, over its largest value, the logarithm of their number."""
    p = np.clip(probabilities, TINY, None)
    p = p / p.sum(axis=0)
    return np.asarray(np.clip(-(p * np.log(p)).sum(axis=0) / math.log(max(len(p), 2)), 0, 1))


def _region_entropy(probabilities: Array) -> Array:
    """Joint entropy of regions that are there or not, taken as independent, over its largest value: their mean."""
    p = np.clip(probabilities, TINY, 1 - 1e-7)
    return np.asarray(np.clip(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean(axis=0) / math.log(2), 0, 1))


def _sigmoid(scores: Array) -> Array:
    # By its odd half, so that large negative scores do not overflow.
    return np.asarray(0.5 * (1 + np.tanh(0.5 * scores)))
