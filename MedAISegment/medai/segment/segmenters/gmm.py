"""Gaussian mixture: classes of different size and width, by intensity alone or with position, texture or neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.volume import Volume

from ..inside import inside_mask
from ._base import Segmenter
from ._classes import Floats, Mask, Values, as_labels, classes_by_value, smooth_classes, values_of
from ._features import Features, FeaturesSettings
from ._mixture import fit_mixture, log_normal, moments
from ._partition import best_partition
from ._vectors import gaussians, log_densities


class GaussianMixtureSettings(FeaturesSettings):
    """Number of classes, and what they look at; of position and texture only matters whether they are 0."""


class GaussianMixture(Segmenter):
    """A normal distribution for each class, fitted by expectation-maximisation; each voxel gets the most probable one.

    Intensity alone: on the histogram (whole numbers one by one, others in 4,096 bins), from three starts of which the
    most likely result is kept; nothing is random.  Variances have a floor, so that a class of one value does not take
    all the likelihood.  With position or texture: full covariances, fitted to a sample of 200,000 voxels from the
    classes of k-means.  With smoothness: a hidden Markov random field (Zhang, Brady and Smith, IEEE Trans. Medical
    Imaging 20, 45 (2001)), in which neighbours take the place of the classes' shares and the distributions are fitted
    again after each sweep.  Labels rise with the mean intensity; NaN and infinite voxels get none.  Any number of
    slices.  ``meta["gmm"]`` holds shares, means and standard deviations.
    """

    name = "gmm"
    title = "Gaussian mixture"
    group = "Clusters"
    uses_labels = "optional"
    weight = 3.0
    requires = ("scipy",)
    Settings = GaussianMixtureSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: GaussianMixtureSettings, *, progress: ProgressFn,
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
        rest = sub_progress(progress, 0.2, 0.95)
        kwargs: dict[str, Any] = {"progress": rest, "cancel": cancel, "message": self.title}
        if settings.position or settings.texture:
            array, facts = self._by_features(value, found, settings, mask, **kwargs)
            return as_labels(array, value, settings, {"gmm": facts})
        mixture = fit_mixture(found.values, found.weights, settings.classes, bin_width=found.bin_width, cancel=cancel)
        shares, means, variances = mixture.weights, mixture.means, mixture.variances
        progress(0.2, self.title)
        if settings.smoothness:
            centres = found.histogram.centres
            floor = found.bin_width**2 / 12 + 1e-6 * float(np.average((found.values - means.mean()) ** 2))

            def refit(members: Floats) -> Floats:
                nonlocal shares, means, variances
                mass = members.sum(axis=1)
                belongs = members / np.maximum(mass, 1e-300)[:, None]
                shares, means, variances = moments(centres, mass / mass.sum(), belongs, floor)
                return -log_normal(centres, means, variances)

            costs = -mixture.log_densities(centres)
            array = smooth_classes(
                value, found, costs, settings, settings.smoothness, mask, refit=refit, means=lambda: means, **kwargs
            )
            order = np.argsort(means, kind="stable")
            shares, means, variances = shares[order], means[order], variances[order]
        else:
            classes = mixture.log_densities(found.values).argmax(axis=1)
            array = classes_by_value(value.array, found, classes, settings, mask, **kwargs)
        facts = {"shares": shares.tolist(), "means": means.tolist(), "sds": np.sqrt(variances).tolist()}
        return as_labels(array, value, settings, {"gmm": facts})

    def _by_features(
        self, value: Volume, found: Values, settings: GaussianMixtureSettings, mask: Mask | None, *,
        progress: ProgressFn, cancel: CancelToken, message: str,
    ) -> tuple[Any, dict[str, Any]]:  # fmt: skip
        features = Features(value, mask, settings)
        sample = features.fit(found.histogram.total, sub_progress(progress, 0, 0.3), cancel, message)
        cuts = found.values[best_partition(found.values, found.weights, settings.classes)]
        start = np.searchsorted(features.scaled_intensity(cuts), sample[:, 0], side="right")
        shares, means, covariances = gaussians(sample, start, settings.classes, cancel)
        order = np.argsort(means[:, 0], kind="stable")
        fitted = (shares[order], means[order], covariances[order])
        first = 0 if settings.drop_darkest else 1
        array = features.assign(
            lambda v: log_densities(v, *fitted).argmax(axis=1) + first, sub_progress(progress, 0.5, 1), cancel, message
        )
        sds = np.sqrt(fitted[2][:, 0, 0]) / features.scale[0]
        centres = features.intensity(fitted[1][:, 0])
        return array, {"shares": fitted[0].tolist(), "means": centres.tolist(), "sds": sds.tolist()}
