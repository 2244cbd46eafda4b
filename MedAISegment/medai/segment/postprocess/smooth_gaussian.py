"""Smooth surfaces by blurring all segments together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn

from ._base import Post, SegmentsSettings
from ._smoothing import FROZEN, Labels, each_label, smoothed

PART_VOXELS = 1 << 20
TRUNCATE = 3.0
"""The kernel ends this many standard deviations from its centre."""


class SmoothGaussianSettings(SegmentsSettings):
    """How much to smooth."""

    sigma_mm: float = Field(
        1.0,
        gt=0,
        le=30,
        title="Sigma",
        description="Standard deviation in mm, along every axis.",
        json_schema_extra={"unit": "mm"},
    )


class SmoothGaussian(Post):
    """Blurs each segment's membership (1 inside, 0 outside) and the background's, and takes the largest at each voxel.

    ``scipy.ndimage.gaussian_filter`` with ``truncate=3`` on an anisotropic grid; the outermost voxels are repeated
    beyond the image.  Because all compete, segments that touch stay in touch: there is no gap and no overlap.  One
    segment alone becomes its blurred mask above one half.  Equal memberships go to the background, then to the first
    segment.  Segments not worked on keep their voxels and take no part.  Structures thinner than sigma disappear.
    Works in slabs; a single slice is smoothed in its plane.
    """

    name = "smooth_gaussian"
    title = "Smooth (Gaussian)"
    group = "Smooth"
    requires = ("scipy",)
    weight = 5.0
    Settings = SmoothGaussianSettings

    def apply(
        self, value: LabelMap, settings: SmoothGaussianSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Smooth the segments.

        Raises
        ------
        InputError
            If there is no segment of a name.
        """
        sigmas = tuple(
            settings.sigma_mm / s if n > 1 else 0.0
            for s, n in zip(value.geometry.spacing_kji, value.geometry.shape, strict=True)
        )
        k, j, i = (int(TRUNCATE * s + 0.5) for s in sigmas)

        def vote(labels: Labels) -> Labels:
            return _largest_membership(labels, (k, j, i), sigmas, cancel)

        return smoothed(value, settings.segments, (k, j, i), vote, title=self.title, progress=progress, cancel=cancel)


def _largest_membership(
    labels: Labels, halo: tuple[int, int, int], sigmas: tuple[float, ...], cancel: CancelToken
) -> Labels:
    """Return the label of the largest blurred membership, without the halo along K."""
    shape = labels[halo[0] : len(labels) - halo[0]].shape
    best, winner = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.uint16)
    background = np.ones(shape, dtype=np.float32)
    for label, window, inner, place in each_label(labels, halo):
        if label == 0:
            continue
        blurred = _blurred(labels[window] == label, sigmas, inner, cancel)
        background[place] -= blurred
        if label != FROZEN:
            better = blurred > best[place]
            np.copyto(best[place], blurred, where=better)
            np.copyto(winner[place], label, where=better)
    # What is left for the background carries the rounding of the others.
    winner[best <= background + 1e-6] = 0
    return winner


def _blurred(
    mask: npt.NDArray[np.bool_], sigmas: tuple[float, ...], inner: slice, cancel: CancelToken
) -> npt.NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter1d

    result: npt.NDArray[Any] = mask.astype(np.float32)
    # Along K first: the halo is not needed any more after that.
    for axis, sigma in enumerate(sigmas):
        if sigma > 0:
            # In parts along another axis: a wide Gaussian of a whole slab takes longer than a cancel may wait.
            across = 1 if axis == 0 else 0
            depth = max(1, PART_VOXELS * result.shape[across] // result.size)
            blurred = np.empty_like(result)
            for start in range(0, result.shape[across], depth):
                cancel.check()
                part = (slice(None),) * across + (slice(start, start + depth),)
                gaussian_filter1d(
                    result[part], sigma, axis=axis, mode="nearest", truncate=TRUNCATE, output=blurred[part]
                )
            result = blurred
        if axis == 0:
            result = result[inner]
    return result
