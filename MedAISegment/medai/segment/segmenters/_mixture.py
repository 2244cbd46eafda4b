"""Gaussian mixtures and fuzzy c-means on a histogram: what takes minutes on voxels takes milliseconds on bins."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken

from ._partition import best_partition

Floats = npt.NDArray[np.float64]
MOST_VALUES = 8192
"""Mixtures are fitted to at most so many different values; with more, neighbours are put together."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians of one variable, ordered by mean.

    Parameters
    ----------
    weights, means, variances : array of float, shape (k,)
        Share, mean and variance of each component.
    score : float
        Mean log-likelihood of a voxel.
    """

    weights: Floats
    means: Floats
    variances: Floats
    score: float

    def log_densities(self, values: Floats) -> Floats:
        """Return the logarithm of each component's share times its density, shape (n, k)."""
        return np.asarray(np.log(self.weights) + log_normal(values, self.means, self.variances))


def log_normal(values: Floats, means: Floats, variances: Floats) -> Floats:
    """Return the logarithms of normal densities, shape (n, k)."""
    distance = (values[:, None] - means) ** 2 / variances
    return np.asarray(-0.5 * (distance + np.log(2 * np.pi * variances)))


def fit_mixture(
    values: Floats,
    weights: Floats,
    components: int,
    *,
    iterations: int = 500,
    tolerance: float = 1e-6,
    bin_width: float = 0.0,
    cancel: CancelToken,
) -> Mixture:
    """Fit a mixture by expectation-maximisation (Dempster, Laird and Rubin, J Royal Stat Soc B 39, 1 (1977)).

    Runs from the best division of the values (k-means), from classes of equal size and from classes of equal width,
    and keeps the most likely; so there is nothing random.

    Parameters
    ----------
    values, weights : array of float, shape (n,)
        Rising values and their voxels.
    components : int
        2 to n.
    iterations : int
        Most iterations of each run.
    tolerance : float
        A run ends when the mean log-likelihood of a voxel rises by less.
    bin_width : float
        Width of a bin: variances do not fall under what a bin hides (width squared / 12), nor under a millionth of
        the variance of all values.
    """
    values, weights = _at_most(MOST_VALUES, values, weights)
    share = weights / weights.sum()
    mean = float(share @ values)
    total = float(share @ (values - mean) ** 2)
    # In units of the standard deviation, so that huge and tiny values lose nothing.
    scale = total**0.5
    scaled = (values - mean) / scale
    floor = max(1e-6, (bin_width / scale) ** 2 / 12)
    found: Mixture | None = None
    for cuts in _starts(scaled, share, components):
        run = _expectation_maximisation(scaled, share, cuts, iterations, tolerance, floor, cancel)
        if found is None or run.score > found.score + tolerance:
            found = run
    assert found is not None
    order = np.argsort(found.means, kind="stable")
    return Mixture(
        found.weights[order],
        found.means[order] * scale + mean,
        found.variances[order] * total,
        found.score - float(np.log(scale)),
    )


def _at_most(count: int, values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Put neighbouring values together, equally many each, so that at most ``count`` are left."""
    group = -(-len(values) // count)
    if group == 1:
        return values, weights
    first = np.arange(0, len(values), group)
    mass = np.add.reduceat(weights, first)
    return np.add.reduceat(weights * values, first) / mass, mass


def _starts(values: Floats, share: Floats, components: int) -> list[list[int]]:
    """Return divisions of the values to start from, each with at least one value a class."""
    level = np.arange(1, components) / components
    equal_size = np.searchsorted(np.cumsum(share), level) + 1
    equal_width = np.searchsorted(values, values[0] + level * (values[-1] - values[0]))
    starts = [best_partition(values, share, components)]
    for cuts in (equal_size.tolist(), equal_width.tolist()):
        bounds = [0, *cuts, len(values)]
        if all(a < b for a, b in itertools.pairwise(bounds)):
            starts.append([int(c) for c in cuts])
    return starts


def _expectation_maximisation(
    values: Floats, share: Floats, cuts: list[int], iterations: int, tolerance: float, floor: float,
    cancel: CancelToken,
) -> Mixture:  # fmt: skip
    belongs = np.zeros((len(values), len(cuts) + 1))
    belongs[np.arange(len(values)), np.searchsorted(cuts, np.arange(len(values)), side="right")] = 1.0
    score = -np.inf
    for _ in range(iterations):
        cancel.check()
        weights, means, variances = moments(values, share, belongs, floor)
        densities = np.log(weights) + log_normal(values, means, variances)
        top = densities.max(axis=1, keepdims=True)
        belongs = np.exp(densities - top)
        sums = belongs.sum(axis=1, keepdims=True)
        belongs /= sums
        before, score = score, float(share @ (top + np.log(sums))[:, 0])
        if score - before < tolerance:
            break
    return Mixture(weights, means, variances, score)


def moments(values: Floats, share: Floats, belongs: Floats, floor: float) -> tuple[Floats, Floats, Floats]:
    """Return share, mean and variance of each component, given how much each value belongs to it, shape (n, k)."""
    mass = share[:, None] * belongs
    weights = np.maximum(mass.sum(axis=0), 1e-12)
    means = (values @ mass) / weights
    variances = np.einsum("nk,nk->k", mass, (values[:, None] - means) ** 2) / weights + floor
    return weights / weights.sum(), means, variances


def fuzzy_centres(
    values: Floats, weights: Floats, classes: int, fuzziness: float, *, iterations: int = 300, cancel: CancelToken
) -> Floats:
    """Return the centres of fuzzy c-means (Bezdek 1981: memberships eq. 11.3a, centres eq. 11.3b), rising.

    Starts from k-means and ends when no centre moves by more than 1e-7 of the range.

    Parameters
    ----------
    values, weights : array of float, shape (n,)
        Rising values and their voxels.
    fuzziness : float
        The exponent m, greater than 1; near 1 the classes are those of k-means.
    """
    cuts = [0, *best_partition(values, weights, classes), len(values)]
    centres = np.array([np.average(values[a:b], weights=weights[a:b]) for a, b in itertools.pairwise(cuts)])
    span = float(values[-1] - values[0])
    for _ in range(iterations):
        cancel.check()
        powers = weights[:, None] * memberships(values, centres, fuzziness) ** fuzziness
        moved = (values @ powers) / powers.sum(axis=0)
        still = float(np.abs(moved - centres).max()) <= 1e-7 * span
        centres = moved
        if still:
            break
    return np.sort(centres)


def memberships(values: Floats, centres: Floats, fuzziness: float) -> Floats:
    """Return how much each value belongs to each class, shape (n, k); each row's sum is 1."""
    # In units of the nearest centre's distance, no power overflows; a value on a centre belongs to it alone.
    distance = np.abs(values[:, None] - centres)
    nearest = distance.min(axis=1, keepdims=True)
    ratio = np.divide(nearest, distance, out=np.ones_like(distance), where=distance > 0)
    power = ratio ** (2 / (fuzziness - 1))
    return np.asarray(power / power.sum(axis=1, keepdims=True))
