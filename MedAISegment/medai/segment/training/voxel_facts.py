"""What voxels say: range, mean, percentiles, a digest, values inside labels, sizes and parts of labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken

from ..components import label_components
from ..inference.order_statistics import percentiles as exact_percentiles
from ..inference.sampling import slab_of
from ..inference.source import Source

PERCENTS = (0.5, 50.0, 99.5)
"""Those of nnU-Net's fingerprint."""
SKETCH = 4096
"""Order statistics kept of the values inside a case's labels."""


@dataclass(frozen=True)
class Values:
    """Values of one channel.

    Parameters
    ----------
    low, high, mean, sd : float
        Over the whole image; the SD divides by n.  0 if a voxel is not finite.
    percentiles : tuple of float
        The 0.5th, 50th and 99.5th; empty if they were not asked for.
    digest : str
        Of the shape and the values as 32-bit numbers in RAS order; empty if all values are the same.
    not_finite : int
        Voxels that are NaN, infinite, or too large for 32 bits.
    """

    low: float
    high: float
    mean: float
    sd: float
    percentiles: tuple[float, ...]
    digest: str
    not_finite: int = 0


@dataclass(frozen=True)
class Inside:
    """Values of one channel where there is a label.

    Parameters
    ----------
    sketch : array of float32, shape (SKETCH,)
        Evenly spaced order statistics.
    """

    mean: float
    sd: float
    low: float
    high: float
    sketch: npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelFacts:
    """A label in one case; parts are joined through faces, edges and corners."""

    label: int
    voxels: int
    volume_ml: float
    components: int


def values(source: Source, *, percentiles: bool, cancel: CancelToken) -> Values:
    """Measure the first channel of an image, slab by slab."""
    load, shape = source.load(0), source.shape
    slab = slab_of(shape)
    digest = hashlib.blake2b(repr(shape).encode("ascii"), digest_size=16)
    low, high, bad = np.inf, -np.inf, 0
    total = squares = 0.0
    shift: float | None = None
    for start in range(0, shape[0], slab):
        cancel.check()
        # What does not fit into 32 bits becomes infinite, and is counted as such.
        with np.errstate(over="ignore", invalid="ignore"):
            block = load(start, min(start + slab, shape[0]))
        bad += int(block.size - np.count_nonzero(np.isfinite(block)))
        if bad:
            continue
        digest.update(np.ascontiguousarray(block, dtype="<f4").reshape(-1).view(np.uint8).data)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        shift = float(block.flat[0]) if shift is None else shift
        away = block.astype(np.float64) - shift
        total += float(away.sum())
        squares += float(np.square(away, out=away).sum())
    if bad:
        return Values(0.0, 0.0, 0.0, 0.0, (), "", bad)
    count = shape[0] * shape[1] * shape[2]
    sd = float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0)))
    found = tuple(exact_percentiles(load, shape[0], slab, PERCENTS, cancel)) if percentiles else ()
    mean = (shift or 0.0) + total / count
    return Values(low, high, mean, sd, found, digest.hexdigest() if low < high else "")


def inside(source: Source, labels: npt.NDArray[Any], cancel: CancelToken) -> Inside:
    """Measure the first channel where there is a label.

    Parameters
    ----------
    labels : array of whole numbers, shape (K, J, I)
        On the image's grid and in its orientation; not all 0.
    """
    parts, load = [], source.load(0)
    slab = slab_of(source.shape)
    for start in range(0, source.shape[0], slab):
        cancel.check()
        stop = min(start + slab, source.shape[0])
        parts.append(load(start, stop)[labels[start:stop] != 0])
    numbers = np.sort(np.concatenate(parts))
    wide = numbers.astype(np.float64)
    places = ((np.arange(SKETCH) + 0.5) / SKETCH * len(numbers)).astype(np.int64)
    return Inside(float(wide.mean()), float(wide.std()), float(wide[0]), float(wide[-1]), numbers[places])


def label_facts(
    labels: npt.NDArray[Any], voxel_mm3: float, *, components: bool, cancel: CancelToken
) -> tuple[LabelFacts, ...]:
    """Count the voxels and the parts of every label that occurs.

    Parameters
    ----------
    labels : array of whole numbers, shape (K, J, I)
        0 is background.
    voxel_mm3 : float
        Volume of a voxel.
    components : bool
        Count parts; 0 otherwise.
    """
    from scipy import ndimage

    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        cancel.check()
        mask = labels[box] == number
        voxels = int(np.count_nonzero(mask))
        parts = len(label_components(mask, 26, cancel=cancel)[1]) - 1 if components else 0
        found.append(LabelFacts(number, voxels, voxels * voxel_mm3 / 1000.0, parts))
    return tuple(found)
