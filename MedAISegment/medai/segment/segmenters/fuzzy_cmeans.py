"""Fuzzy c-means: clusters in which a voxel has a share of each."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ._base import Segmenter
from ._classes import ClassesSettings, as_labels, classes_by_value, smooth_classes, values_of
from ._mixture import fuzzy_centres, memberships


class FuzzyCMeansSettings(ClassesSettings):
    """Number of classes, fuzziness, smoothness."""

    fuzziness: float = Field(
        2.0, ge=1.05, le=10, title="Fuzziness", description="Exponent m of the memberships; near 1 it is k-means."
    )
    smoothness: float = Field(
        0.0,
        ge=0,
        le=10,
        title="Smoothness",
        description="Cost of a neighbour with another label; 0 looks at each voxel alone, 0.3 removes specks.",
    )


class FuzzyCMeans(Segmenter):
    """Fuzzy c-means of the intensities (Bezdek 1981), each voxel labelled with the class it belongs to most.

    Runs on the histogram (whole numbers one by one, others in 4,096 bins) from the k-means classes, so nothing is
    random.  Labels rise with the intensity; NaN and infinite voxels get none.  Any number of slices.  With smoothness,
    minus the logarithm of the membership is a voxel's cost in a Markov random field.  ``meta["fuzzy_cmeans"]`` holds
    the centres.
    """

    name = "fuzzy_cmeans"
    title = "Fuzzy c-means"
    group = "Clusters"
    uses_labels = "optional"
    weight = 2.0
    Settings = FuzzyCMeansSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: FuzzyCMeansSettings, *, progress: ProgressFn,
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
        centres = fuzzy_centres(found.values, found.weights, settings.classes, settings.fuzziness, cancel=cancel)
        progress(0.4, self.title)
        rest = sub_progress(progress, 0.4, 0.95)
        if settings.smoothness:
            costs = -np.log(np.maximum(memberships(found.histogram.centres, centres, settings.fuzziness), 1e-30))
            array = smooth_classes(
                value, found, costs, settings, settings.smoothness, mask, progress=rest, cancel=cancel,
                message=self.title,
            )  # fmt: skip
        else:
            # The centre with the largest membership is the nearest one, whatever the exponent.
            classes = np.abs(found.values[:, None] - centres).argmin(axis=1)
            array = classes_by_value(
                value.array, found, classes, settings, mask, progress=rest, cancel=cancel, message=self.title
            )
        return as_labels(array, value, settings, {"fuzzy_cmeans": {"centres": centres.tolist()}})
