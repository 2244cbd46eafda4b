"""Region growing within a confidence interval that is learned from the region itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ..seeds import Index, seeds_by_segment
from ._base import Segmenter
from ._grow import Claims, ConnectedSettings, neighbourhood, range_mask, require_inside, value_at
from ._runs import Mask, Parts, chosen_mask, connected_parts, sums


class ConfidenceConnectedSettings(ConnectedSettings):
    """How wide the interval is and how often it is learned anew."""

    multiplier: float = Field(
        2.0,
        gt=0,
        le=100,
        title="Multiplier",
        description="Half the interval's width, in standard deviations of the region.",
    )
    iterations: int = Field(
        4, ge=0, le=100, title="Iterations", description="How often mean and deviation are taken from the grown region."
    )
    initial_radius: int = Field(
        1,
        ge=0,
        le=20,
        title="Initial radius",
        description="The first mean and deviation come from boxes of this radius in voxels around the seeds.",
    )


class ConfidenceConnected(Segmenter):
    """Voxels within mean +- multiplier x standard deviation that hang together with a seed, learned repeatedly.

    The algorithm of ITK's ``ConfidenceConnectedImageFilter``: mean and (sample) deviation of the boxes around all
    seeds of a segment give the first interval; each iteration takes those of the region grown so far; the interval
    always contains the seeds' own values. It equals ``SimpleITK.ConfidenceConnected`` with connectivity 6 on a
    float image; on whole numbers SimpleITK cuts the interval's ends off to whole numbers towards zero, and this
    step does not, so that the type of voxel makes no difference. A box that reaches over the border repeats the
    last voxel. NaN and infinite voxels never belong and are not counted. With radius 0 the first deviation is the
    (sample) deviation of the seeds' values, 0 for a single seed.
    A voxel that two segments reach goes to the one with the nearer seed in mm, at equal distance to the first.
    """

    name = "confidence_connected"
    title = "Confidence connected"
    group = "Region growing"
    requires = ("scipy",)
    uses_labels = "optional"
    weight = 3.0
    Settings = ConfidenceConnectedSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: ConfidenceConnectedSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:
        """Grow each segment from its seeds.

        Raises
        ------
        InputError
            Without a seed, and for one outside the image or ``inside`` or on a voxel without a value.
        """
        value.require_scalar(self.title)
        seeds = seeds_by_segment(settings.seeds, value.geometry)
        inside = inside_mask(labels, settings.inside)
        require_inside(seeds, inside, settings.inside)
        for segment, places in seeds.items():
            for number, place in enumerate(places, start=1):
                value_at(value.array, place, segment, number)
        claims = Claims(value.geometry, seeds)
        limits: dict[str, list[float]] = {}
        for number, (segment, places) in enumerate(seeds.items()):
            share = sub_progress(progress, number / len(seeds), (number + 1) / len(seeds))
            parts, chosen, limits[segment] = _grown(value.array, places, inside, settings, share, cancel, self.title)
            claims.add(number, chosen_mask(parts, chosen), cancel=cancel)
        found = claims.finish(value, settings.max_ml)
        return found.replace(meta={"limits": limits})


def _grown(
    array: npt.NDArray[Any],
    places: Sequence[Index],
    inside: Mask | None,
    settings: ConfidenceConnectedSettings,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str,
) -> tuple[Parts, set[int], list[float]]:
    """Return the components, those that hold the seeds, and the last interval."""
    own = [float(array[place]) for place in places]
    if settings.initial_radius:
        near = np.concatenate([neighbourhood(array, place, settings.initial_radius) for place in places])
        mean, variance = float(near.mean()), float(near.var(ddof=1)) if near.size > 1 else 0.0
    else:
        mean, variance = float(np.mean(own)), float(np.var(own, ddof=1)) if len(own) > 1 else 0.0
    limits: tuple[float, float] | None = None
    rounds = settings.iterations + 1
    for turn in range(rounds):
        half = settings.multiplier * math.sqrt(variance)
        new = min(mean - half, *own), max(mean + half, *own)
        if new == limits:
            break  # the region stays as it is from here on
        limits = new
        parts = connected_parts(
            range_mask(array, *limits, inside),
            (array.shape[0], array.shape[1], array.shape[2]),
            settings.connectivity,
            progress=sub_progress(progress, turn / rounds, (turn + 0.7) / rounds),
            cancel=cancel,
            message=message,
        )
        chosen = {parts.at(place) for place in places}
        if turn < settings.iterations:
            rest = sub_progress(progress, (turn + 0.7) / rounds, (turn + 1) / rounds)
            _, mean, variance = sums(array, parts, chosen, cancel=cancel, progress=rest)
            if variance == 0.0:
                break
    assert limits is not None
    return parts, chosen, [limits[0], limits[1]]
