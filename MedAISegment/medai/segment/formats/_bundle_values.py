"""MONAI's changes of intensity as steps of a channel's chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medai.core.errors import ManifestError

from ..inference.normalising import is_measured
from ..inference.prepare import Normalise
from ._bundle_names import Arguments


@dataclass(frozen=True)
class Change:
    """One transform's effect.

    Parameters
    ----------
    steps : tuple of Normalise
        One for all channels, or one for each.
    alone : bool
        What is measured in the image is measured in each channel alone.
    """

    steps: tuple[Normalise, ...]
    alone: bool = True

    def step_for(self, channel: int, channels: int, where: str) -> Normalise:
        """Return the step of one channel.

        Raises
        ------
        ManifestError
            If there is none, or values are measured in several channels together.
        """
        if channels > 1 and not self.alone and is_measured(self.steps[0]):
            raise ManifestError(
                f"{where}: values are measured in {channels} channels together (channel_wise is false), which MedAI "
                "cannot reproduce."
            )
        if len(self.steps) not in (1, channels):
            raise ManifestError(f"{where}: there are {len(self.steps)} values for {channels} channels.")
        return self.steps[0] if len(self.steps) == 1 else self.steps[channel]


def change_of(name: str) -> Callable[[Arguments], Change] | None:
    """Return what reads the arguments of a transform, None if it does not change intensities in a known way."""
    return _READ.get(name)


def _made(given: Arguments, alone: bool, *values: dict[str, Any]) -> Change:
    given.only("dtype", None, "float32", "float")
    try:
        return Change(tuple(Normalise(**value) for value in values), alone)
    except ValidationError as error:
        first = error.errors()[0]
        raise ManifestError(f"{given.where}: {first['loc'][0]} does not fit: {first['msg']}.") from None


def _range(given: Arguments) -> Change:
    low, high = given.number("a_min"), given.number("a_max")
    out_low, out_high = given.number("b_min"), given.number("b_max")
    clip = given.flag("clip")
    if low is None or high is None or low >= high:
        raise given.refused("a_min and a_max", [low, high])
    if (out_low is None) != (out_high is None) or (clip and out_low is None):
        raise given.refused("b_min and b_max", [out_low, out_high])
    ends = (0.0, 1.0) if out_low is None or out_high is None else (out_low, out_high)
    return _made(
        given,
        True,
        {"method": "range", "low": low, "high": high, "out_low": ends[0], "out_high": ends[1], "clip": clip},
    )


def _scale(given: Arguments) -> Change:
    given.only("factor", None)
    low, high = given.number("minv", 0.0), given.number("maxv", 1.0)
    if low is None or high is None:
        raise given.refused("minv and maxv", [low, high])
    return _made(given, given.flag("channel_wise"), {"method": "range", "out_low": low, "out_high": high})


def _percentiles(given: Arguments) -> Change:
    given.only("relative", False)
    low, high = given.number("lower"), given.number("upper")
    ends = given.number("b_min"), given.number("b_max")
    if low is None or high is None or not 0 <= low < high <= 100:
        raise given.refused("lower and upper", [low, high])
    if None in ends:
        raise given.refused("b_min and b_max", list(ends))
    return _made(
        given,
        given.flag("channel_wise"),
        {"method": "percentile_range", "low": low, "high": high, "out_low": ends[0], "out_high": ends[1],
         "clip": given.flag("clip")},
    )  # fmt: skip


def _normalise(given: Arguments) -> Change:
    over = "nonzero" if given.flag("nonzero") else "image"
    alone = given.flag("channel_wise")
    shift, divisor = given.take("subtrahend"), given.take("divisor")
    if shift is None and divisor is None:
        return _made(given, alone, {"method": "zscore", "over": over})
    if shift is None or divisor is None:
        raise given.refused("subtrahend and divisor", [shift, divisor])
    means, divisors = (v if isinstance(v, list) else [v] for v in (shift, divisor))
    if len(means) != len(divisors):
        raise given.refused("subtrahend and divisor", [shift, divisor])
    return _made(
        given,
        True,
        *({"method": "shift_scale", "mean": m, "sd": d, "over": over} for m, d in zip(means, divisors, strict=True)),
    )


_READ: dict[str, Callable[[Arguments], Change]] = {
    "ScaleIntensityRanged": _range,
    "ScaleIntensityd": _scale,
    "ScaleIntensityRangePercentilesd": _percentiles,
    "NormalizeIntensityd": _normalise,
}
