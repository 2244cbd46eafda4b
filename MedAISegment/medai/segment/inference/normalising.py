"""Chains of value changes: what is measured in the image is measured once, then every slab is changed alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.progress import CancelToken, no_progress

from ..slabs import for_slabs
from .order_statistics import percentiles
from .prepare import Normalise
from .sampling import slab_of

FloatImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
SMALLEST_SD = 1e-8
"""nnU-Net's smallest divisor: a channel without any contrast becomes 0."""


@dataclass(frozen=True)
class Change:
    """Clip, then ``(x - shift) * scale + add``, then clip again; without the parts that are None.

    Parameters
    ----------
    over : {"image", "nonzero", "filled"}
        The voxels that are changed, as in :class:`~medai.segment.inference.prepare.Normalise`.
    """

    before: tuple[float | None, float | None] | None = None
    shift: float | None = None
    scale: float | None = None
    add: float | None = None
    after: tuple[float, float] | None = None
    over: str = "image"

    def apply(self, values: FloatImage, filled: Mask | None) -> None:
        """Change values in place.

        Parameters
        ----------
        filled : array of bool, shape of ``values``, optional
            nnU-Net's mask; None: everywhere.
        """
        where: Any = True
        if self.over == "nonzero":
            where = values != 0
        elif self.over == "filled" and filled is not None:
            where = filled
        if self.before is not None:
            low, high = self.before
            if low is not None:
                np.maximum(values, np.float32(low), out=values, where=where)
            if high is not None:
                np.minimum(values, np.float32(high), out=values, where=where)
        if self.shift is not None:
            np.subtract(values, np.float32(self.shift), out=values, where=where)
        if self.scale is not None:
            np.multiply(values, np.float32(self.scale), out=values, where=where)
        if self.add is not None:
            np.add(values, np.float32(self.add), out=values, where=where)
        if self.after is not None:
            np.maximum(values, np.float32(self.after[0]), out=values, where=where)
            np.minimum(values, np.float32(self.after[1]), out=values, where=where)


Changes = tuple[Change, ...]


def apply_all(changes: Sequence[Change], values: FloatImage, filled: Mask | None) -> FloatImage:
    """Apply changes in order, in place; return the same array."""
    for change in changes:
        change.apply(values, filled)
    return values


def is_measured(step: Normalise) -> bool:
    """Tell whether a step's numbers come from the image."""
    if step.method == "range":
        return step.low is None or step.high is None
    return step.method in ("zscore", "clip_percentiles", "percentile_range")


class Chain:
    """Finds the numbers of a chain of steps for one channel.

    Parameters
    ----------
    load : callable
        ``load(start, stop)`` gives slices as a new float32 array (n, J, I).
    shape : tuple of int
        (K, J, I).
    filled : array of bool, shape (K, J, I), optional
        nnU-Net's mask; None: everywhere.
    name : str
        Of the channel, for messages.
    strict : bool
        Refuse a z-score of values that are all the same, as training does; else they become 0, as nnU-Net's and
        MONAI's do.
    """

    def __init__(
        self,
        load: Callable[[int, int], FloatImage],
        shape: tuple[int, int, int],
        filled: Mask | None,
        name: str,
        cancel: CancelToken,
        strict: bool = False,
    ) -> None:
        self._load, self._shape, self._filled, self._cancel = load, shape, filled, cancel
        self._slab = slab_of(shape)
        self._name = f"The channel {name!r}" if name else "The image"
        self._changes: list[Change] = []
        self._strict = strict

    def resolve(self, steps: Sequence[Normalise]) -> Changes:
        """Return the changes, measured one after the other.

        Raises
        ------
        InputError
            If a range to scale by is empty.
        """
        for step in steps:
            change = self._change(step)
            if change is not None:
                self._changes.append(change)
        return tuple(self._changes)

    def _change(self, step: Normalise) -> Change | None:
        change = self._plain(step)
        return replace(change, over=step.over) if change is not None else None

    def _plain(self, step: Normalise) -> Change | None:
        if step.method == "clip":
            return Change(before=(step.low, step.high))
        if step.method == "shift_scale":
            return _scaled(step.mean, 1.0 / step.sd)
        if step.method == "zscore":
            found = self._mean_and_sd(step.over)
            if found is None:
                return None  # nothing but zeros: nothing to change
            mean, sd = found
            if self._strict and not sd > 1e-6 * max(1.0, abs(mean)):
                raise InputError(
                    f"{self._name} has no contrast: its values are the same nearly everywhere.",
                    hint="Check that the image is the right one and is not empty.",
                )
            return Change(shift=mean, scale=1.0 / max(sd, SMALLEST_SD))
        if step.method == "range":
            if step.low is not None and step.high is not None:
                return self._range(step, step.low, step.high, "limits")
            low, high = self._extremes(step.over)
            low = low if step.low is None else step.low
            high = high if step.high is None else step.high
            if low == high:
                # All values are the same: nnU-Net makes them 0, the lower end.
                return Change(before=(low, low), shift=low, add=step.out_low)
            return self._range(step, low, high, "values")
        percents = (step.low if step.low is not None else 0.0, step.high if step.high is not None else 100.0)
        try:
            low, high = percentiles(self._reader(step.over), self._shape[0], self._slab, percents, self._cancel)
        except ValueError:
            return None  # nothing but zeros: nothing to change
        if step.method == "clip_percentiles":
            return Change(before=(low, high))
        return self._range(step, low, high, f"percentiles {percents[0]:g} and {percents[1]:g}")

    def _range(self, step: Normalise, low: float, high: float, what: str) -> Change:
        if not high > low:
            raise InputError(
                f"{self._name} cannot be scaled: its {what} {low:g} and {high:g} leave no range.",
                hint="Check that the image is the right one and is not empty.",
            )
        ends = (min(step.out_low, step.out_high), max(step.out_low, step.out_high))
        scale = (step.out_high - step.out_low) / (high - low)
        return replace(_scaled(low, scale), add=step.out_low or None, after=ends if step.clip else None)

    def _values(self, start: int, stop: int) -> FloatImage:
        filled = self._filled[start:stop] if self._filled is not None else None
        return apply_all(self._changes, self._load(start, stop), filled)

    def _reader(self, over: str) -> Callable[[int, int], FloatImage]:
        def chosen(start: int, stop: int) -> FloatImage:
            values = self._values(start, stop)
            if over == "nonzero":
                values = values[values != 0]
            if over == "filled" and self._filled is not None:
                values = values[self._filled[start:stop]]
            return values

        return chosen

    def _for_slabs(self, function: Callable[[FloatImage], Any], over: str) -> list[Any]:
        read = self._reader(over)

        def part(start: int, stop: int) -> Any:
            values = read(start, stop)
            return function(values) if values.size else None

        found = for_slabs(self._shape[0], part, slab=self._slab, progress=no_progress, cancel=self._cancel)
        return [item for item in found if item is not None]

    def _extremes(self, over: str) -> tuple[float, float]:
        parts = self._for_slabs(lambda values: (float(values.min()), float(values.max())), over)
        return min((p[0] for p in parts), default=0.0), max((p[1] for p in parts), default=0.0)

    def _mean_and_sd(self, over: str) -> tuple[float, float] | None:
        """Mean and SD (divided by n), slab by slab, joined as by Chan, Golub and LeVeque (1983)."""

        def part(values: FloatImage) -> tuple[int, float, float]:
            mean = float(values.mean(dtype=np.float64))
            away = values - np.float32(mean)
            rest = float(away.mean(dtype=np.float64))
            np.square(away, out=away)
            return (
                values.size,
                float(np.float32(mean)) + rest,
                float(away.sum(dtype=np.float64)) - values.size * rest**2,
            )

        count, mean, squares = 0, 0.0, 0.0
        for n, part_mean, part_squares in self._for_slabs(part, over):
            total = count + n
            delta = part_mean - mean
            squares += part_squares + delta**2 * count * n / total
            mean += delta * n / total
            count = total
        return (mean, float(np.sqrt(max(squares, 0.0) / count))) if count else None


def _scaled(shift: float, scale: float) -> Change:
    return Change(shift=shift or None, scale=None if scale == 1.0 else scale)
