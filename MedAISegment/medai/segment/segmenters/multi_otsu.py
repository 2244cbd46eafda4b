"""Several thresholds at once: Otsu's criterion for two to five classes."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ._base import Segmenter
from ._classes import ClassesSettings, as_labels, classes_by_value, values_of
from ._partition import best_partition


class MultiOtsuSettings(ClassesSettings):
    """How many classes, and what they are called."""

    classes: int = Field(3, ge=2, le=5, title="Classes", description="Number of classes, the darkest included.")


class MultiOtsu(Segmenter):
    """Classes of neighbouring values with the largest variance between them (Liao et al., J Inf Sci Eng 17, 713, 2001).

    The exact optimum, by dynamic programming over the histogram (whole numbers one by one, others in 4,096 bins); the
    same thresholds as ``skimage.filters.threshold_multiotsu`` on the same bins.  Labels rise with the intensity; NaN
    and infinite voxels get none.  Any number of slices.  ``meta["multi_otsu"]`` holds the smallest value of the second,
    third, ... class.
    """

    name = "multi_otsu"
    title = "Multi-Otsu thresholds"
    group = "Threshold"
    uses_labels = "optional"
    Settings = MultiOtsuSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: MultiOtsuSettings, *, progress: ProgressFn,
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
        progress(0.4, self.title)
        cuts = best_partition(found.values, found.weights, settings.classes)
        classes = np.searchsorted(cuts, np.arange(len(found.values)), side="right")
        array = classes_by_value(
            value.array, found, classes, settings, mask, progress=sub_progress(progress, 0.4, 0.95), cancel=cancel,
            message=self.title,
        )  # fmt: skip
        thresholds = [found.first_value(cut) for cut in cuts]
        return as_labels(array, value, settings, {"multi_otsu": {"thresholds": thresholds}})
