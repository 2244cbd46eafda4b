"""k-means: classes of similar voxels, by intensity alone or with position, texture or neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ._base import Segmenter
from ._classes import Mask, Values, as_labels, classes_by_value, smooth_classes, values_of
from ._features import Features, FeaturesSettings
from ._partition import best_partition
from ._vectors import lloyd, nearest


class KMeansSettings(FeaturesSettings):
    """Number of classes, and what they look at."""


class KMeans(Segmenter):
    """Classes with the smallest sum of squares about their means.

    Intensity alone: the global optimum, by dynamic programming over the histogram (whole numbers one by one, others in
    4,096 bins), so nothing is random and no start matters.  With position or texture: Lloyd's iteration in float32 on
    a sample of 200,000 voxels, from the classes of intensity; then every voxel goes to its nearest centre.  With
    smoothness: the squared distance over twice the variance within the classes is a voxel's cost in a Markov random
    field.  Labels rise with the mean intensity; NaN and infinite voxels get none.  Any number of slices (the box of
    the texture lies in the plane of a single one).  ``meta["kmeans"]`` holds the mean intensities.
    """

    name = "kmeans"
    title = "k-means clusters"
    group = "Clusters"
    uses_labels = "optional"
    weight = 3.0
    requires = ("scipy",)
    Settings = KMeansSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: KMeansSettings, *, progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:  # fmt: skip
        """Segment a scalar volume.

        Raises
        ------
        InputError
            If there are fewer different values than classes.
        """
        value.require_scalar(self.title)
        mask = inside_mask(labels, settings.inside)
        found = values_of(value.array, mask, settings.classes, self.title, cancel)
        progress(0.1, self.title)
        cuts = best_partition(found.values, found.weights, settings.classes)
        classes = np.searchsorted(cuts, np.arange(len(found.values)), side="right")
        mass = np.bincount(classes, found.weights)
        means = np.bincount(classes, found.weights * found.values) / mass
        rest = sub_progress(progress, 0.1, 0.95)
        kwargs: dict[str, Any] = {"progress": rest, "cancel": cancel, "message": self.title}
        if settings.position or settings.texture:
            array, means = self._by_features(value, found, found.values[cuts], settings, mask, **kwargs)
        elif settings.smoothness:
            within = float(found.weights @ (found.values - means[classes]) ** 2) / found.weights.sum()
            variance = within + found.bin_width**2 / 12
            costs = (found.histogram.centres[:, None] - means) ** 2 / (2 * variance)
            array = smooth_classes(value, found, costs, settings, settings.smoothness, mask, **kwargs)
        else:
            array = classes_by_value(value.array, found, classes, settings, mask, **kwargs)
        return as_labels(array, value, settings, {"kmeans": {"means": means.tolist()}})

    def _by_features(
        self, value: Volume, found: Values, cuts: Any, settings: KMeansSettings, mask: Mask | None, *,
        progress: ProgressFn, cancel: CancelToken, message: str,
    ) -> tuple[Any, Any]:  # fmt: skip
        features = Features(value, mask, settings)
        sample = features.fit(found.histogram.total, sub_progress(progress, 0, 0.4), cancel, message)
        start = np.searchsorted(features.scaled_intensity(cuts), sample[:, 0], side="right")
        centres = lloyd(sample, start, settings.classes, cancel)
        centres = centres[np.argsort(centres[:, 0], kind="stable")]
        near, first = nearest(centres), 0 if settings.drop_darkest else 1
        array = features.assign(lambda v: near(v) + first, sub_progress(progress, 0.5, 1), cancel, message)
        return array, features.intensity(centres[:, 0])
