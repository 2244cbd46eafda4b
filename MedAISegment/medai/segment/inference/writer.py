"""From class scores on the model's grid to labels on the image's grid, slab by slab, with bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, no_progress

from ..manifest import Manifest
from ..slabs import for_slabs
from .axes import Axis, Blocks, blocks_along, in_grid_order, nearest_axis, plan_axes, weights_of
from .blocks import Group, label_group
from .measure import Measures
from .rule import rule_of
from .slab import Slab
from .spread import Spread

Array = npt.NDArray[Any]
EDGE_VOXELS = 8
"""Voxels of the model's grid along an edge of a block."""
FINE_EDGE = 20
"""A block has no more voxels of the image along an edge, where the image is much finer than the model's grid."""
COUNT_VOXELS = 1 << 20


@dataclass(frozen=True, eq=False)
class Written:
    """What a model's scores gave.

    Parameters
    ----------
    labels : array of uint8 or uint16, shape (K, J, I) of the image
        0 is background.
    facts : dict
        By the manifest's label name: ``label``, ``voxels`` (of the image), ``model_voxels``, ``mean_probability``,
        ``boundary_share``, and ``mean_entropy``, ``mean_agreement``, ``mean_mutual_information`` if there are such maps
        (:meth:`medai.segment.inference.measure.Measures.label`).
    maps : dict of str to array of float32, shape (K, J, I) of the image
        ``entropy`` (0 to 1) and what was asked for; 0 outside the model's box.
    how : dict
        What was done: ``interpolation`` (``none``, ``linear``), ``nearest_axis`` (0, 1, 2 = K, J, I of the model's
        grid, or None), ``blocks`` and ``interpolated_blocks``.
    """

    labels: Array
    facts: dict[str, dict[str, Any]]
    maps: dict[str, Array]
    how: dict[str, Any] = field(default_factory=dict)


class LabelWriter:
    """Makes labels of class scores that arrive in slabs.

    Scores (before the activation) are interpolated linearly along each axis; outside the outer voxels' centres, but
    inside the model's box, they keep the border's value; outside the box is background.  Then the largest wins, or
    each region with a probability above 0.5 is painted in order (:func:`medai.segment.inference.rule.rule_of`).
    Where a model has ``prepare.anisotropy`` the coarsest axis may be sampled by nearest neighbour instead
    (:func:`medai.segment.inference.axes.nearest_axis`).  This is nnU-Net's way (Isensee et al., Nature Methods 18,
    203 (2021), doi 10.1038/s41592-020-01008-z), without its memory: only one slice of scores is kept between slabs.

    Parameters
    ----------
    grid : Geometry
        The model's grid.
    target : Geometry
        The image's grid; its axes are parallel to the model's after swaps and flips.
    manifest : Manifest
        Labels, regions, activation and anisotropy.
    entropy : bool
        Also make a map of the entropy of the probabilities, from 0 (certain) to 1 (all classes equal).
    maps : tuple of str
        Names of the slabs' maps that are brought to the image's grid too.

    Raises
    ------
    GeometryError
        If the axes are not parallel.
    """

    def __init__(
        self,
        grid: Geometry,
        target: Geometry,
        manifest: Manifest,
        *,
        entropy: bool = False,
        maps: tuple[str, ...] = (),
        cancel: CancelToken,
    ) -> None:
        self._grid, self._manifest, self._cancel = grid, manifest, cancel
        self._rule = rule_of(manifest)
        self._labels = np.zeros(target.shape, dtype=self._rule.values.dtype)
        view, turned = in_grid_order(self._labels, target, grid)
        self._axes = plan_axes(grid, turned, manifest.prepare)
        self._nearest = nearest_axis(turned, manifest.prepare)
        box = tuple(slice(axis.start, axis.stop) for axis in self._axes)
        self._out = view[box]
        names = (*(("entropy",) if entropy else ()), *maps)
        self._maps = {name: np.zeros(target.shape, dtype=np.float32) for name in names}
        self._spreads = {
            name: Spread(self._axes, in_grid_order(array, target, grid)[0][box]) for name, array in self._maps.items()
        }
        self._passed = maps
        self._measures = Measures(self._rule, manifest.inference.activation, entropy, maps)
        self._end = 0
        self._first, self._stop = self._axes[0].used
        self._done = self._first
        self._carry: tuple[Array, dict[str, Array]] | None = None
        self._blocks: tuple[Blocks, Blocks] | None = None
        self._counts = [0, 0]

    def feed(self, slab: Slab) -> None:
        """Take the next slab; its memory is free again when this returns.

        Raises
        ------
        ValueError
            If the slab is not the next one, or its shape does not fit the grid, the labels or the maps.
        ModelError
            If a score is NaN or infinite.
        Cancelled
            If somebody asked to stop.
        """
        scores = np.asarray(slab.scores, dtype=np.float32)
        self._check(slab, scores)
        maps = {name: np.asarray(slab.maps[name], dtype=np.float32) for name in self._passed}
        begin, self._end = self._end, self._end + scores.shape[1]
        if self._out.size == 0:
            return
        rows, columns = (slice(*axis.used) for axis in self._axes[1:])
        scores = scores[:, :, rows, columns]
        maps = {name: array[:, rows, columns] for name, array in maps.items()}
        if self._manifest.inference.activation == "softmax" and self._rule.limit is not None:
            scores = _softmax(scores)
        if self._blocks is None:
            self._blocks = self._cut(scores.shape[1])
        along = self._axes[0]
        stop = min(self._end, self._stop)
        # The last slice waits for the next slab if anything between the two is interpolated.
        last = stop if stop == self._stop or not along.reach else stop - 1
        while self._done < last:
            self._cancel.check()
            self._group(scores, maps, begin, min(self._done + self._depth, last), stop)
        low = max(self._first - begin, 0)
        for name, array in maps.items():
            if begin + low < stop:
                self._spreads[name].add(begin + low, array[low : stop - begin], self._cancel)
        if self._first < self._end < self._stop and along.reach:
            self._carry = scores[:, -1:].copy(), {name: array[-1:].copy() for name, array in maps.items()}

    def finish(self) -> Written:
        """Return the result.

        Raises
        ------
        ValueError
            If slabs are missing.
        """
        if self._end != self._grid.shape[0]:
            raise ValueError(f"expected slabs up to slice {self._grid.shape[0]}, got them up to {self._end}")
        self._measures.finish()
        found = self._count()
        facts = {}
        for entry in self._manifest.labels:
            facts[entry.name] = {"label": entry.label, "voxels": int(found[entry.label])}
            facts[entry.name].update(self._measures.label(entry.label))
        how = {
            "interpolation": "none" if all(axis.same for axis in self._axes) else "linear",
            "nearest_axis": self._nearest,
            "blocks": self._counts[0],
            "interpolated_blocks": self._counts[1],
        }
        return Written(self._labels, facts, self._maps, how)

    def _check(self, slab: Slab, scores: Array) -> None:
        channels = len(self._rule.values) - int(self._rule.limit is not None)
        if scores.ndim != 4 or scores.shape[0] != channels or scores.shape[2:] != self._grid.shape[1:]:
            raise ValueError(
                f"expected scores of shape ({channels}, slices, {self._grid.shape[1]}, {self._grid.shape[2]}), "
                f"got {scores.shape}"
            )
        if slab.start != self._end or not 0 < scores.shape[1] <= self._grid.shape[0] - self._end:
            raise ValueError(
                f"expected a slab from slice {self._end} on, at most to {self._grid.shape[0]}, got {scores.shape[1]} "
                f"slices from {slab.start} on"
            )
        for name in self._passed:
            if name not in slab.maps or tuple(slab.maps[name].shape) != scores.shape[1:]:
                raise ValueError(f"expected a map {name!r} of shape {scores.shape[1:]} in the slab")

    def _cut(self, slices: int) -> tuple[Blocks, Blocks]:
        """Cut J and I into blocks; larger ones if there are only few slices at a time."""
        edge = EDGE_VOXELS if slices >= EDGE_VOXELS // 2 else 2 * EDGE_VOXELS
        rows, columns = (blocks_along(axis, _edge(axis, edge)) for axis in self._axes[1:])
        self._depth = _edge(self._axes[0], EDGE_VOXELS)
        return rows, columns

    def _group(self, scores: Array, maps: dict[str, Array], begin: int, end: int, stop: int) -> None:
        """Label the slices from the first that is not done to ``end``, and what lies between them and the next."""
        assert self._blocks is not None
        along, start = self._axes[0], self._done
        held = min(end + along.reach, stop)
        # A group begins in this slab, or with the last slice of the one before.
        here = slice(max(start - begin, 0), held - begin)
        pieces = [(scores[:, here], {name: array[here] for name, array in maps.items()})]
        if start < begin:
            assert self._carry is not None
            pieces.insert(0, self._carry)
        low, high = np.searchsorted(along.low, (start, end))
        weights = weights_of(along.low[low:high] - start, along.share[low:high], held - start)
        group = Group(tuple(part for part, _ in pieces), end - start, weights, along.same)
        winners = np.empty((end - start, *scores.shape[2:]), dtype=self._rule.codes)
        self._counts[1] += label_group(group, *self._blocks, self._rule, self._out[low:high], winners, self._cancel)
        self._counts[0] += len(self._blocks[0]) * len(self._blocks[1])
        done = 0
        for part, beside in pieces:
            own = winners[done : done + part.shape[1]]
            size = len(own)
            if not size:
                continue
            some = {name: array[:size] for name, array in beside.items()}
            entropy = self._measures.add(part[:, :size], own, some, self._cancel)
            if entropy is not None:
                self._spreads["entropy"].add(start + done, entropy, self._cancel)
            done += size
        self._done = end

    def _count(self) -> Array:
        """Return how many voxels of the image have each label."""
        flat = self._labels.reshape(-1)
        found = np.zeros(int(self._rule.values.max()) + 1, dtype=np.int64)

        def run(start: int, stop: int) -> Array:
            return np.bincount(flat[start:stop], minlength=len(found))

        for part in for_slabs(flat.size, run, slab=COUNT_VOXELS, progress=no_progress, cancel=self._cancel):
            found += part
        return found


def _edge(axis: Axis, edge: int) -> int:
    """Return how many voxels of the model's grid a block has along an axis."""
    low, high = axis.used
    if high == low:
        return edge
    return max(1, min(edge, round(FINE_EDGE * (high - low) / (axis.stop - axis.start))))


def _softmax(scores: Array) -> Array:
    shifted = np.exp(scores - scores.max(axis=0))
    shifted /= shifted.sum(axis=0)
    return np.asarray(shifted)
