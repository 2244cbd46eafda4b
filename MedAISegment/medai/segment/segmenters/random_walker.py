"""Random walker: painted seeds or the labels so far spread until the edges between them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..boxes import bounding_box
from ..histogram import value_range
from ..inside import InsideSettings, inside_mask
from ._base import Segmenter

MOST_VOXELS = 1 << 21
"""Voxels of the box worked on: about half a minute and 1.5 gigabytes."""


class RandomWalkerSettings(InsideSettings):
    """How strongly edges hold the walkers back."""

    beta: float = Field(
        130.0,
        gt=0,
        le=1e5,
        title="Beta",
        description="How hard it is to step over an edge; the larger, the closer the result keeps to edges.",
    )
    tolerance: float = Field(
        1e-3, ge=1e-8, le=0.1, title="Tolerance", description="Accuracy of the probabilities at which solving ends."
    )
    background: str = Field(
        "Background",
        max_length=64,
        title="Background",
        description="Name of the segment that stands for what is none of the others; it is not in the result.",
    )


class RandomWalker(Segmenter):
    """Give each voxel the label whose seeds a random walker from there meets first (Grady, IEEE PAMI 28, 1768 (2006)).

    The segments made so far are the seeds: at least two, one of which may be the background.  Their voxels keep
    their labels.  Runs ``skimage.segmentation.random_walker`` (conjugate gradients, with multigrid where pyamg is
    installed) on the bounding box of 'inside' and the seeds, or the whole image, with the grid's spacing; values
    are divided by their standard deviation there.  At most 2,097,152 voxels (128^3), because the equations of all
    of them are solved at once; that one call cannot be interrupted from within, only by ending the worker.  Voxels
    outside 'inside' and the seeds, NaN and infinite voxels get no label.  A single slice is walked in its plane.
    """

    name = "random_walker"
    title = "Random walker"
    group = "Seeds"
    uses_labels = "required"
    weight = 20.0
    requires = ("skimage", "scipy")
    Settings = RandomWalkerSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: RandomWalkerSettings, *, progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:  # fmt: skip
        """Segment a scalar volume.

        Raises
        ------
        InputError
            If the box is too large, or fewer than two segments have voxels in it.
        """
        value.require_scalar(self.title)
        assert labels is not None  # ImageStep.run saw to it
        mask = inside_mask(labels, settings.inside)
        if mask is not None:
            mask = labels.array > 0  # seeds lie on top of the segment to work inside
        box = (slice(None),) * 3 if mask is None else bounding_box(mask)
        assert box is not None
        array = value.array[box]
        if array.size > MOST_VOXELS:
            raise InputError(
                f"The random walker works on at most {MOST_VOXELS} voxels at once, given {array.size}.",
                hint="Crop or resample the image, or name a segment to work inside.",
            )
        low, high, _, _ = value_range(array, None, cancel)
        usable = np.isfinite(array) if mask is None else np.isfinite(array) & mask[box]
        inside_label = labels.segment(settings.inside).label if settings.inside else -1
        seeds = np.where(usable, labels.array[box], 0).astype(np.int32)
        seeds[seeds == inside_label] = 0
        present = [s for s in labels.segments if (seeds == s.label).any()]
        if len(present) < 2:
            raise InputError(
                f"The random walker needs seeds of at least two segments, and {len(present)} has voxels here.",
                hint="Paint or threshold one segment more, for example 'Background'.",
            )
        progress(0.05, self.title)
        # -1 takes a voxel out of the graph; labels are numbered 1, 2, ... for the solver.
        numbers = np.zeros(int(seeds.max()) + 1, dtype=np.int32)
        for number, segment in enumerate(present, start=1):
            numbers[segment.label] = number
        walked = _walk(array, np.where(usable, numbers[seeds], -1), (float(low), float(high)), value, settings)
        cancel.check()
        kept = [s for s in present if s.name != settings.background]
        codes = np.zeros(len(present) + 1, dtype=np.uint8 if len(kept) < 256 else np.uint16)
        for new, segment in enumerate(kept, start=1):
            codes[present.index(segment) + 1] = new
        result = np.zeros(value.array.shape, dtype=codes.dtype)
        result[box] = codes[np.maximum(walked, 0)]
        segments = tuple(s.relabelled(new) for new, s in enumerate(kept, start=1))
        return LabelMap(result, value.geometry, segments)


def _walk(
    array: Any, seeds: Any, limits: tuple[float, float], value: Volume, settings: RandomWalkerSettings
) -> np.ndarray[Any, Any]:
    """Return the label of each voxel; ``seeds`` is -1 where nobody walks, 0 where it is not known yet."""
    from scipy.ndimage import label
    from skimage.segmentation import random_walker

    # The library loses count of voxels without neighbours, and no walker comes out of a part without seeds.
    parts, _ = label(seeds >= 0)
    useful = np.bincount(parts.reshape(-1), seeds.reshape(-1) > 0) > 0
    useful &= np.bincount(parts.reshape(-1)) > 1
    useful[0] = False
    active = useful[parts]
    kept = np.where(seeds > 0, seeds, 0)
    names = np.unique(kept[active & (kept > 0)])
    if len(names) < 2:
        return np.where(active, names[0] if len(names) else 0, kept)
    walked = np.where(active, np.where(kept > 0, np.searchsorted(names, kept) + 1, 0), -1)
    if not (walked == 0).any():
        return kept
    low, high = limits
    data = (np.where(active, array, low) - low) / ((high - low) or 1.0)
    flat = tuple(axis for axis, size in enumerate(array.shape) if size == 1)
    spacing = np.delete(np.asarray(value.geometry.spacing_kji), flat)
    spacing = spacing / math.prod(spacing) ** (1 / len(spacing))
    data, walked = np.squeeze(data, flat), np.squeeze(walked, flat)
    if data.ndim == 1:  # the library wants two axes
        data, walked, spacing = data[None], walked[None], np.array([1.0, 1.0])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # it recommends pyamg
        found = random_walker(
            data, walked, beta=settings.beta, mode="cg_mg" if _multigrid() else "cg_j", tol=settings.tolerance,
            spacing=spacing,
        )  # fmt: skip
    found = np.maximum(np.asarray(found).reshape(array.shape), 1)
    return np.where(active, names[found - 1], kept)


def _multigrid() -> bool:
    from importlib.util import find_spec

    return find_spec("pyamg") is not None
