"""Chan-Vese: a contour that separates two mean values, from a start region."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..histogram import value_range
from ._base import Segmenter
from ._box import Box, box_around
from ._morphology import Binary, inf_sup, sup_inf
from ._start import StartSettings, finish, start_regions


class ChanVeseSettings(StartSettings):
    """How long, how smooth, and how the two sides weigh."""

    iterations: int = Field(60, ge=1, le=10000, title="Iterations", description="Steps of at most one voxel each.")
    smoothing: int = Field(
        1, ge=0, le=10, title="Smoothing", description="Smoothings of the surface after each step; 0: none."
    )
    lambda_in: float = Field(
        1.0, gt=0, le=1000, title="Weight inside", description="Weight of the differences from the mean inside."
    )
    lambda_out: float = Field(
        1.0, gt=0, le=1000, title="Weight outside", description="Weight of the differences from the mean outside."
    )


class ChanVese(Segmenter):
    """Moves the surface of a start region until the mean inside and the mean outside fit best.

    Morphological active contours without edges: each step gives the voxels at the surface to the side whose mean is
    nearer, then smooths the surface.  The same voxels as ``skimage.segmentation.morphological_chan_vese`` on the
    box (start region and margin), outside of which nothing is looked at; Chan and Vese, IEEE Trans. Image
    Processing 10, 266 (2001), and Marquez-Neila et al., IEEE Trans. PAMI 36, 2 (2014).  Steps and smoothing count in
    voxels, whatever the spacing.  The start is the segments so far, or balls around seeds; several segments are moved
    one after the other and never enter each other or each other's start.  It ends early when nothing changes any more.
    A single slice is moved in its plane.  NaN and infinite voxels count as the image's smallest value and never belong.
    """

    name = "chan_vese"
    title = "Chan-Vese contour"
    group = "Edges"
    uses_labels = "optional"
    weight = 20.0
    Settings = ChanVeseSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: ChanVeseSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Move each segment's surface.

        Raises
        ------
        InputError
            If there is no start region, or no finite value.
        """
        value.require_scalar(self.title)
        start = start_regions(value.geometry, labels, settings, self.title)
        low = float(value_range(value.array, None, cancel)[0])
        result = np.zeros_like(start.array)
        for number, segment in enumerate(start.segments):
            own = start.array == segment.label
            box = box_around(own, value.geometry, settings.margin_mm)
            taken = ((start.array[box] > 0) & ~own[box]) | (result[box] > 0)
            share = sub_progress(progress, number / len(start.segments), (number + 1) / len(start.segments))
            moved = evolve(
                _finite(value.array[box], low),
                own[box],
                taken,
                settings,
                progress=share,
                cancel=cancel,
                message=self.title,
            )
            if value.array.dtype.kind == "f":
                moved &= np.isfinite(value.array[box])
            result[box][moved > 0] = segment.label
        return finish(start, result, value.geometry, settings)


def _finite(array: npt.NDArray[Any], low: float) -> npt.NDArray[Any]:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array
    filled: npt.NDArray[Any] = np.nan_to_num(array, nan=low, posinf=low, neginf=low)
    return filled


def evolve(
    image: npt.NDArray[Any],
    own: npt.NDArray[np.bool_],
    taken: npt.NDArray[np.bool_],
    settings: ChanVeseSettings,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
) -> Binary:
    """Return the start region (K, J, I) after the iterations; ``taken`` is never entered."""
    state = own.astype(np.uint8)
    total, voxels = float(image.sum(dtype=np.float64)), image.size
    smooth = 0  # smoothings so far: SI after IS and IS after SI take turns
    before: list[Binary] = []
    has_taken = bool(taken.any())
    for done in range(settings.iterations):
        cancel.check()
        if not state.any():
            break
        box = _reach(state, settings.smoothing)
        part, values = state[box], image[box]
        new = part.copy()
        inside = float(np.sum(values, dtype=np.float64, where=part.view(np.bool_)))
        count = int(np.count_nonzero(part))
        mean_in, mean_out = inside / count, (total - inside) / max(1, voxels - count)
        places = np.nonzero(_surface(state, box))
        near = values[places].astype(np.float64)
        pull = settings.lambda_in * np.square(near - mean_in) - settings.lambda_out * np.square(near - mean_out)
        new[places] = np.where(pull < 0, 1, np.where(pull > 0, 0, new[places]))
        for _ in range(settings.smoothing):
            first, second = (inf_sup, sup_inf) if smooth % 2 == 0 else (sup_inf, inf_sup)
            new = second(first(new, cancel), cancel)
            smooth += 1
        if has_taken:
            new[taken[box]] = 0
        before = [*before[-1:], state.copy()]
        state[box] = new
        progress((done + 1) / settings.iterations, message)
        # With an odd number of smoothings two states may take turns for ever.
        if len(before) == 2 and np.array_equal(state, before[0]):
            left = settings.iterations - done - 1
            return state if left % 2 == 0 else before[1]
    return state


def _reach(state: Binary, smoothing: int) -> Box:
    """Return the box outside of which an iteration changes nothing: one step, and dilations that erosions follow."""
    margin = 2 + 2 * smoothing
    box = []
    for axis, size in enumerate(state.shape):
        places = np.flatnonzero(state.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(0, int(places[0]) - margin), min(size, int(places[-1]) + 1 + margin)))
    return box[0], box[1], box[2]


def _surface(state: Binary, box: Box) -> npt.NDArray[np.bool_]:
    """Return where the difference of the two neighbours along some axis is not zero; one-sided at the border."""
    part = state[box]
    result = np.zeros(part.shape, dtype=np.bool_)
    for axis, size in enumerate(state.shape):
        if size == 1:
            continue
        values, target = np.moveaxis(part, axis, 0), np.moveaxis(result, axis, 0)
        target[1:-1] |= values[2:] != values[:-2]
        if len(values) > 1:
            target[0] |= values[0] != values[1]
            target[-1] |= values[-1] != values[-2]
    return result
