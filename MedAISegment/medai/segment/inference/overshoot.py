"""The overshoot of a cubic spline, held inside the image's values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken

from .normalising import Changes, apply_all
from .prepare import FloatImage, PrepareSettings
from .sampling import Axes, bounds_along, separate_axis, spacings
from .source import Mask, Source


class Clip:
    """Holds a cubic spline's overshoot inside the image's values, as scikit-image's ``resize`` does.

    Parameters
    ----------
    low, high : array of float32, shape (K or 1, J or 1, I or 1)
        Limits of each sample.
    """

    def __init__(self, low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]) -> None:
        self.low, self.high = low, high

    def __call__(self, start: int, part: FloatImage) -> None:
        """Clip slices from ``start`` on in place."""
        rows = slice(start, start + len(part)) if len(self.low) > 1 else slice(None)
        np.clip(part, self.low[rows], self.high[rows], out=part)


def clipper(
    source: Source,
    channel: int,
    changes: Changes,
    filled: Mask | None,
    axes: Axes,
    limits: tuple[float, float],
    settings: PrepareSettings,
    cancel: CancelToken,
) -> Clip:
    """Return the limits: of the whole image, or of each plane across the axis that is sampled apart."""
    read = source.load(channel)

    def load(start: int, stop: int) -> FloatImage:
        return apply_all(changes, read(start, stop), filled[start:stop] if filled is not None else None)

    apart = separate_axis(*spacings(source.grid.spacing_kji, settings), settings.anisotropy)
    if apart is None and all(step.over == "image" for step in changes):
        # The changes rise or fall everywhere: the image's ends become the ends.
        ends = np.asarray(limits, dtype=np.float32).reshape(2, 1, 1)
        apply_all(changes, ends, None)
        return Clip(ends.min().reshape(1, 1, 1), ends.max().reshape(1, 1, 1))
    if apart is None:
        low, high = bounds_along(load, source.shape, 0, cancel)
        return Clip(low.min().reshape(1, 1, 1), high.max().reshape(1, 1, 1))
    low, high = bounds_along(load, source.shape, apart, cancel)
    shape = [1, 1, 1]
    shape[apart] = axes[apart].count
    index = axes[apart].nearest
    return Clip(low[index].reshape(shape), high[index].reshape(shape))
