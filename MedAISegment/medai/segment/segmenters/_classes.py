"""What segmenters that divide an image into classes of rising mean intensity have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.volume import Volume

from ..boxes import bounding_box
from ..histogram import Histogram, histogram_of
from ..inside import InsideSettings
from ..seeds import segments_of
from ..slabs import for_slabs
from ._flags import empty_flags
from ._intervals import label_intervals
from ._mrf import Refit, neighbour_weights, smooth_labels

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class ClassesSettings(InsideSettings):
    """How many classes, and what they are called."""

    classes: int = Field(3, ge=2, le=16, title="Classes", description="Number of classes, the darkest included.")
    names: tuple[str, ...] = Field(
        (), max_length=16, title="Names", description="A name for each segment from dark to bright; empty: Class 1, ..."
    )
    drop_darkest: bool = Field(
        False, title="Drop the darkest", description="Leave the darkest class, often the background, without a label."
    )

    @model_validator(mode="after")
    def _names_fit(self) -> ClassesSettings:
        wanted = self.classes - self.drop_darkest
        if self.names and len(self.names) != wanted:
            raise ValueError(f"{wanted} segments need {wanted} names or none, given {len(self.names)}")
        if len(set(self.names)) < len(self.names) or not all(0 < len(name) <= 64 for name in self.names):
            raise ValueError("each name must be different from the others and have 1 to 64 characters")
        return self

    def segment_names(self) -> tuple[str, ...]:
        """Return the segments' names, dark to bright."""
        return self.names or tuple(f"Class {n}" for n in range(1 + self.drop_darkest, self.classes + 1))


@dataclass(frozen=True, eq=False)
class Values:
    """The different values of an image inside a mask.

    Parameters
    ----------
    histogram : Histogram
        Empty bins included.
    bins : array of int, shape (n,)
        Bins that hold voxels.
    values, weights : array of float, shape (n,)
        What those bins stand for, and their voxels.
    """

    histogram: Histogram
    bins: npt.NDArray[np.int64]
    values: Floats
    weights: Floats

    @property
    def bin_width(self) -> float:
        """Width of a bin: what a variance cannot tell apart."""
        edges = self.histogram.edges
        return float(edges[1] - edges[0])

    def first_value(self, cut: int) -> float:
        """Return the smallest value of the class that begins with ``values[cut]``: just above the class before."""
        return float(self.histogram.edges[self.bins[cut - 1] + 1])


def values_of(array: Array, mask: Mask | None, classes: int, title: str, cancel: CancelToken) -> Values:
    """Return the different values of an image (K, J, I).

    Raises
    ------
    InputError
        If there are fewer different values than classes.
    """
    histogram = histogram_of(array, mask, cancel=cancel)
    bins = np.flatnonzero(histogram.counts)
    if len(bins) < classes:
        raise InputError(
            f"{title}: {classes} classes need at least {classes} different values, and there are {len(bins)} here.",
            hint="Ask for fewer classes.",
        )
    return Values(histogram, bins, histogram.centres[bins], histogram.counts[bins].astype(np.float64))


def classes_by_value(
    array: Array, found: Values, classes: npt.NDArray[Any], settings: ClassesSettings, mask: Mask | None, *,
    progress: ProgressFn, cancel: CancelToken, message: str,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """Label each voxel with the class of its value: ``classes[n]`` from 0 for ``found.values[n]``."""
    codes = np.asarray(classes, dtype=np.int64) + (0 if settings.drop_darkest else 1)
    cuts = np.flatnonzero(np.diff(codes)) + 1
    starts = [found.first_value(int(cut)) for cut in cuts]
    labels = [int(codes[0]), *(int(c) for c in codes[cuts])]
    return label_intervals(array, starts, labels, inside=mask, progress=progress, cancel=cancel, message=message)


def smooth_classes(
    value: Volume, found: Values, costs: Floats, settings: ClassesSettings, smoothness: float, mask: Mask | None, *,
    refit: Refit | None = None, means: Callable[[], Floats] | None = None, progress: ProgressFn, cancel: CancelToken,
    message: str,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """Label each voxel by its value's costs (all bins, k) and its neighbours' labels; see :mod:`._mrf`.

    ``means`` gives the classes' means after the last ``refit``, which may have let two classes change places.
    """
    array = value.array
    box = (slice(None),) * 3 if mask is None else bounding_box(mask)
    assert box is not None  # inside_mask refuses an empty segment
    part = array[box]
    inside = None if mask is None else mask[box]
    classes = costs.argmin(axis=1).astype(np.uint8)[found.bins]
    every = settings.model_copy(update={"drop_darkest": False})
    start = classes_by_value(
        part, found, classes, every, inside, progress=sub_progress(progress, 0, 0.05), cancel=cancel, message=message
    )
    labels = smooth_labels(
        bin_image(part, found.histogram, cancel), start, costs, smoothness,
        neighbour_weights(value.geometry.spacing_kji), refit=refit, progress=sub_progress(progress, 0.05, 1),
        cancel=cancel, message=message,
    )  # fmt: skip
    if means is not None and (np.diff(means()) < 0).any():
        ranks = np.argsort(np.argsort(means(), kind="stable"))
        labels = np.concatenate([[0], ranks + 1]).astype(np.uint8)[labels]
    if settings.drop_darkest:
        labels -= labels > 0
    if mask is None:
        return labels
    result = np.zeros(array.shape, dtype=np.uint8)
    result[box] = labels
    return result


def bin_image(array: Array, histogram: Histogram, cancel: CancelToken) -> Array:
    """Return the histogram's bin of each voxel (K, J, I); 0 where the value is NaN, infinite or not in any bin."""
    edges, count = histogram.edges, len(histogram.edges)
    dtype = np.uint8 if count <= 256 else np.uint16 if count <= 65536 else np.uint32
    result = np.empty(array.shape, dtype=dtype)
    even = count < 2 or np.allclose(np.diff(edges), edges[1] - edges[0], rtol=1e-6)

    def part(start: int, stop: int) -> None:
        values = array[start:stop]
        if array.dtype.kind == "f":
            values = np.where(np.isfinite(values), values, edges[0])
        if even and count > 1:
            place = (values.astype(np.float64) - edges[0]) / (edges[1] - edges[0])
        else:
            place = np.searchsorted(edges, values, side="right") - 1
        result[start:stop] = np.clip(place, 0, count - 1)

    slab = max(1, (1 << 20) // max(1, array[0].size))
    for_slabs(len(array), part, slab=slab, progress=no_progress, cancel=cancel)
    return result


def as_labels(
    array: npt.NDArray[np.uint8], value: Volume, settings: ClassesSettings, meta: Mapping[str, Any]
) -> LabelMap:
    """Return the label map of classes 1, 2, ... with the settings' names; empty classes are flagged."""
    made = LabelMap(array, value.geometry, segments_of(settings.segment_names()), (), meta)
    return made.replace(flags=empty_flags(made, "No voxel belongs to the class."))
