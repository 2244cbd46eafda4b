"""k-means and Gaussian mixtures of vectors, from a given start, so that nothing is random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Classify = Callable[[Vectors], npt.NDArray[np.intp]]


def nearest(centres: Vectors) -> Classify:
    """Return the function that gives each of n vectors the number of its nearest centre."""
    half = (np.square(centres).sum(axis=1) / 2).astype(np.float32)

    def classify(vectors: Vectors) -> npt.NDArray[np.intp]:
        return np.asarray((half - vectors @ centres.T).argmin(axis=1))

    return classify


def lloyd(vectors: Vectors, start: npt.NDArray[np.intp], classes: int, cancel: CancelToken) -> Vectors:
    """Return the centres of k-means (Lloyd, IEEE Trans. Information Theory 28, 129 (1982)), shape (k, d).

    Parameters
    ----------
    vectors : array, shape (n, d)
        What to divide.
    start : array of int, shape (n,)
        Class of each vector at the start; every class occurs.
    classes : int
        Number of classes.
    """
    belongs, centres = start, np.zeros((classes, vectors.shape[1]), dtype=np.float32)
    for _ in range(100):
        cancel.check()
        counts = np.bincount(belongs, minlength=classes)
        for column in range(vectors.shape[1]):
            sums = np.bincount(belongs, vectors[:, column], minlength=classes)
            # A class that lost its last vector keeps its centre.
            np.divide(sums, counts, out=centres[:, column], where=counts > 0, casting="same_kind")
        moved = nearest(centres)(vectors)
        if np.array_equal(moved, belongs):
            break
        belongs = moved
    return centres


def gaussians(
    vectors: Vectors, start: npt.NDArray[np.intp], classes: int, cancel: CancelToken
) -> tuple[Floats, Floats, Floats]:
    """Fit a mixture with full covariances by expectation-maximisation; return (shares, means, covariances).

    A millionth is added to each variance, as scikit-learn does; ends when the mean log-likelihood rises by less than
    1e-5.

    Parameters
    ----------
    vectors : array, shape (n, d)
        Scaled to a standard deviation near 1.
    start : array of int, shape (n,)
        Class of each vector at the start.
    """
    data = vectors.astype(np.float64)
    belongs = np.zeros((len(data), classes))
    belongs[np.arange(len(data)), start] = 1.0
    score = -np.inf
    for _ in range(200):
        cancel.check()
        mass = belongs.sum(axis=0) + 1e-10
        means = (belongs.T @ data) / mass[:, None]
        covariances = np.empty((classes, data.shape[1], data.shape[1]))
        for number in range(classes):
            away = data - means[number]
            covariances[number] = (belongs[:, number, None] * away).T @ away / mass[number]
            covariances[number].flat[:: data.shape[1] + 1] += 1e-6
        densities = log_densities(data, mass / mass.sum(), means, covariances)
        top = densities.max(axis=1, keepdims=True)
        belongs = np.exp(densities - top)
        sums = belongs.sum(axis=1, keepdims=True)
        belongs /= sums
        before, score = score, float((top + np.log(sums)).mean())
        if score - before < 1e-5:
            break
    return mass / mass.sum(), means, covariances


def log_densities(data: npt.NDArray[np.floating], shares: Floats, means: Floats, covariances: Floats) -> Floats:
    """Return the logarithm of each component's share times its density at n vectors, shape (n, k)."""
    found = np.empty((len(data), len(shares)))
    for number, (share, mean, covariance) in enumerate(zip(shares, means, covariances, strict=True)):
        root = np.linalg.cholesky(covariance)
        away = np.linalg.solve(root, (data - mean).T)
        found[:, number] = (
            np.log(share)
            - 0.5 * (np.square(away).sum(axis=0) + len(mean) * np.log(2 * np.pi))
            - np.log(np.diag(root)).sum()
        )
    return found
