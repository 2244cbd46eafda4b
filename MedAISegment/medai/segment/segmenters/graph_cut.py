"""Graph cut: the cheapest surface between painted foreground and background."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..boxes import bounding_box
from ..inside import InsideSettings, inside_mask
from ._base import Segmenter
from ._flags import empty_flags
from ._mrf import neighbour_weights

Array = npt.NDArray[Any]
MOST_VOXELS = 1 << 21
"""Voxels of the box worked on: some seconds and about a gigabyte."""
UNIT = 1000
"""Capacities are whole numbers: this many parts of the cost 1."""
SEED = 10**7
"""Capacity of a seed: more than all edges of a voxel together."""
LARGEST_COST = 100.0
"""Costs are cut here, so that no seed can be outvoted and no sum exceeds 32 bits."""


class GraphCutSettings(InsideSettings):
    """What a surface costs, and what a voxel's intensity says."""

    foreground: str = Field(
        "", max_length=64, title="Foreground", description="Segment that is surely inside; empty: the first one."
    )
    background: str = Field(
        "Background", max_length=64, title="Background", description="Segment that is surely outside."
    )
    boundary: float = Field(
        5.0, gt=0, le=50, title="Boundary", description="Cost of a face of the surface where the image is flat."
    )
    edge: float | None = Field(
        None,
        gt=0,
        title="Edge",
        description="Step of intensity over which the surface gets cheap; none: the mean step between neighbours.",
    )
    intensity: float = Field(
        1.0,
        ge=0,
        le=50,
        title="Intensity",
        description="Weight of the likelihood of a voxel's intensity, learnt from the seeds; 0: only edges count.",
    )


class GraphCut(Segmenter):
    """Divide the image between two seeds so that the surface runs along edges (Boykov and Jolly, ICCV 2001, 105).

    The cost is, for each pair of six-neighbours on different sides, ``boundary`` exp(-(step / edge)^2 / 2) times a
    weight of one over their distance (mean 1), plus ``intensity`` times the difference of the logarithms of two
    normal densities fitted to the seeds, at most 100 a voxel.  The minimum is exact, to a thousandth of the unit of
    cost: ``scipy.sparse.csgraph.maximum_flow`` finds it on the bounding box of 'inside' and the seeds, or the whole
    image.  At most 2,097,152 voxels (128^3); that one call cannot be interrupted from within, only by ending the
    worker.  Seeds keep their sides.  Voxels outside 'inside' and the seeds, NaN and infinite voxels get no label
    and are nobody's neighbours.  A single slice is cut in its plane.
    """

    name = "graph_cut"
    title = "Graph cut"
    group = "Seeds"
    uses_labels = "required"
    weight = 20.0
    requires = ("scipy",)
    Settings = GraphCutSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: GraphCutSettings, *, progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:  # fmt: skip
        """Segment a scalar volume.

        Raises
        ------
        InputError
            If the box is too large, or one of the two seeds is missing or empty in it.
        """
        value.require_scalar(self.title)
        assert labels is not None  # ImageStep.run saw to it
        front = labels.segment(settings.foreground) if settings.foreground else _first(labels, settings.background)
        back = labels.segment(settings.background)
        mask = inside_mask(labels, settings.inside)
        if mask is not None:  # seeds lie on top of the segment to work inside
            mask |= (labels.array == front.label) | (labels.array == back.label)
        box = (slice(None),) * 3 if mask is None else bounding_box(mask)
        assert box is not None
        array = value.array[box]
        if array.size > MOST_VOXELS:
            raise InputError(
                f"A graph cut works on at most {MOST_VOXELS} voxels at once, given {array.size}.",
                hint="Crop or resample the image, or name a segment to work inside.",
            )
        usable = np.isfinite(array) if mask is None else np.isfinite(array) & mask[box]
        if settings.inside in (front.name, back.name):
            raise InputError(f"The segment {settings.inside!r} cannot be both a seed and what to work inside.")
        seeds = np.where(usable, labels.array[box], 0)
        sides = (seeds == front.label, seeds == back.label)
        for segment, side in zip((front, back), sides, strict=True):
            if not side.any():
                raise InputError(
                    f"The segment {segment.name!r} has no voxel here to start the graph cut from.",
                    hint="Paint some voxels of it.",
                )
        progress(0.05, self.title)
        inside = _cut(array, usable, sides, neighbour_weights(value.geometry.spacing_kji), settings, cancel, progress)
        result = np.zeros(value.array.shape, dtype=np.uint8)
        result[box] = inside
        made = LabelMap(result, value.geometry, (front.relabelled(1),))
        return made.replace(flags=empty_flags(made, "The cut left nothing inside."))


def _first(labels: LabelMap, background: str) -> Any:
    for segment in labels.segments:
        if segment.name != background:
            return segment
    raise InputError(
        f"There is no segment beside {background!r} to start the graph cut from.", hint="Paint the foreground, too."
    )


def _cut(
    array: Array, usable: Array, sides: tuple[Array, Array], weights: tuple[float, float, float],
    settings: GraphCutSettings, cancel: CancelToken, progress: ProgressFn,
) -> Array:  # fmt: skip
    """Return which voxels (K, J, I) lie on the foreground's side."""
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    count = int(np.count_nonzero(usable))
    number = np.full(array.shape, -1, dtype=np.int32)
    number[usable] = np.arange(count, dtype=np.int32)
    values = array.astype(np.float64, copy=False)
    graph = capacities(values, number, sides, weights, settings)
    cancel.check()
    progress(0.3, GraphCut.title)
    flow = maximum_flow(graph, count, count + 1, method="dinic").flow
    cancel.check()
    progress(0.9, GraphCut.title)
    # What the source still reaches through edges that are not full lies on its side of the smallest cut.
    left = graph - flow
    left.eliminate_zeros()
    reached = breadth_first_order(left, count, directed=True, return_predecessors=False)
    chosen = np.zeros(count + 2, dtype=np.bool_)
    chosen[reached] = True
    result = np.zeros(array.shape, dtype=np.bool_)
    result[usable] = chosen[:count]
    return result


def capacities(
    values: Array, number: Array, sides: tuple[Array, Array], weights: tuple[float, float, float],
    settings: GraphCutSettings,
) -> Any:  # fmt: skip
    """Return the graph's capacities as a sparse matrix: voxels by number, then the source, then the sink."""
    from scipy.sparse import csr_matrix

    count = int(number.max()) + 1
    pairs = []
    for axis in range(3):
        behind, before = np.moveaxis(number, axis, 0)[:-1], np.moveaxis(number, axis, 0)[1:]
        both = (behind >= 0) & (before >= 0)
        line = np.moveaxis(values, axis, 0)
        pairs.append((behind[both], before[both], line[:-1][both] - line[1:][both], weights[axis]))
    steps = [np.abs(step) for _, _, step, _ in pairs if step.size]
    mean_step = float(np.concatenate(steps).mean()) if steps else 0.0
    edge = settings.edge or mean_step or 1.0
    rows, columns, capacity = [], [], []
    for behind, before, step, weight in pairs:
        # At least one part: a surface of no cost could be anywhere.
        cost = np.maximum(1, np.rint(UNIT * settings.boundary * weight * np.exp(-0.5 * (step / edge) ** 2)))
        rows += [behind, before]
        columns += [before, behind]
        capacity += [cost.astype(np.int32)] * 2
    known = number >= 0
    towards = np.zeros(count)
    if settings.intensity:
        towards = settings.intensity * _log_ratio(values, sides, mean_step)[known]
    links = np.rint(UNIT * np.clip(towards, -LARGEST_COST, LARGEST_COST)).astype(np.int32)
    links[number[sides[0]]] = SEED
    links[number[sides[1]]] = -SEED
    front, back = np.flatnonzero(links > 0), np.flatnonzero(links < 0)
    rows += [np.full(len(front), count), back]
    columns += [front, np.full(len(back), count + 1)]
    capacity += [links[front], -links[back]]
    return csr_matrix(
        (np.concatenate(capacity), (np.concatenate(rows), np.concatenate(columns))),
        shape=(count + 2, count + 2),
        dtype=np.int32,
    )


def _log_ratio(values: Array, sides: tuple[Array, Array], mean_step: float) -> Array:
    """Return the logarithm of the foreground's density over the background's at each voxel."""
    densities = []
    for side in sides:
        seen = values[side]
        # A few painted voxels say little about a width: it is not taken for less than the image's noise.
        variance = max(float(seen.var()), mean_step**2, 1e-300)
        with np.errstate(invalid="ignore"):
            densities.append(-0.5 * ((values - seen.mean()) ** 2 / variance + np.log(variance)))
    with np.errstate(invalid="ignore"):
        return np.asarray(densities[0] - densities[1])
