"""What a feature family is: one class, one method a feature, each with its IBSI code and UCUM unit."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from medai.core.progress import CancelToken
from medai.core.registry import Member
from medai.core.settings import Settings
from medai.core.volume import Volume
from medai.features.result import FeatureValue
from medai.features.roi import Roi
from medai.features.units import intensity_unit

S = TypeVar("S", bound=Settings)
M = TypeVar("M")
F = TypeVar("F", bound=Callable[..., float])

EMPTY = "empty"
"""Reason of every value of a segment without voxels."""
NOT_FINITE = "the value is too large for a 64-bit number"


class Undefined(Exception):
    """A feature has no value for this region; the text says why.  Never leaves the family."""


@dataclass(frozen=True)
class FeatureInfo:
    """What is known about a feature before it is measured.

    Parameters
    ----------
    name : str
        Machine name, unique over all families, never translated.
    title : str
        Name for people.
    ibsi : str
        Four-character code of the IBSI reference manual; empty if IBSI does not define the feature.
    unit : str
        UCUM unit; ignored if ``intensity_power`` is set.
    intensity_power : int
        The unit is the image's intensity unit to this power; 0 if the unit does not depend on the image.
    description : str
        First sentence of the method's docstring.
    """

    name: str
    title: str
    ibsi: str
    unit: str
    intensity_power: int
    description: str

    def unit_for(self, image_unit: str) -> str:
        """UCUM unit of the feature when the image's values are in ``image_unit`` (empty if arbitrary)."""
        return intensity_unit(image_unit, self.intensity_power) if self.intensity_power else self.unit


def feature(title: str, *, ibsi: str = "", unit: str = "1", intensity_power: int = 0) -> Callable[[F], F]:
    """Mark a method of a :class:`Family` as a feature.

    Parameters
    ----------
    title : str
        Name for people.
    ibsi : str
        IBSI code, empty if there is none.
    unit : str
        UCUM unit.
    intensity_power : int
        See :class:`FeatureInfo`.
    """

    def mark(method: F) -> F:
        text = (method.__doc__ or "").strip().split("\n\n")[0]
        description = " ".join(text.split())
        info = FeatureInfo(method.__name__, title, ibsi, unit, intensity_power, description)
        method.__feature__ = info  # type: ignore[attr-defined]
        return method

    return mark


class Family(Member, Generic[S, M]):
    """A family of features that share their intermediate quantities.

    A subclass sets ``name``, ``title`` and ``Settings``, implements :meth:`measure`, and marks one method a feature
    with :func:`feature`.  Such a method takes what :meth:`measure` returned, and returns a number or raises
    :class:`Undefined`.
    """

    @classmethod
    def features(cls) -> tuple[FeatureInfo, ...]:
        """Return the features of this family, in the order of their definition."""
        found: dict[str, FeatureInfo] = {}
        for base in reversed(cls.__mro__):
            for value in vars(base).values():
                info = getattr(value, "__feature__", None)
                if isinstance(info, FeatureInfo):
                    found[info.name] = info
        return tuple(found.values())

    def check(self, volume: Volume) -> None:
        """Refuse an image that this family cannot measure, before anything is computed.

        Raises
        ------
        MedAIError
            If this family cannot measure any region of the image.
        """

    @abstractmethod
    def measure(self, roi: Roi, settings: S, *, cancel: CancelToken) -> M:
        """Return the quantities that the features share; the region has at least one voxel.

        Raises
        ------
        Undefined
            If no feature of this family has a value for the region.
        """

    def compute(self, roi: Roi, settings: S | dict[str, Any] | None, *, cancel: CancelToken) -> list[FeatureValue]:
        """Measure one region; one value a feature, always all of them, in the order of :meth:`features`.

        A value that is not defined is NaN and has a reason; numpy's warnings are silenced because every number is
        checked here.

        Raises
        ------
        SettingsError
            If the settings are not valid.
        Cancelled
            If somebody asked to stop.
        """
        parsed: Any = self.Settings.parse(settings, where=self.name)
        cancel.check()
        if roi.is_empty:
            return [self._value(roi, info, math.nan, EMPTY) for info in self.features()]
        with np.errstate(all="ignore"):
            try:
                shared = self.measure(roi, parsed, cancel=cancel)
            except Undefined as reason:
                return [self._value(roi, info, math.nan, str(reason)) for info in self.features()]
            values = []
            for info in self.features():
                cancel.check()
                values.append(self._one(roi, info, shared))
            return values

    def _one(self, roi: Roi, info: FeatureInfo, shared: M) -> FeatureValue:
        try:
            value = float(getattr(self, info.name)(shared))
        except Undefined as reason:
            return self._value(roi, info, math.nan, str(reason))
        except OverflowError:
            return self._value(roi, info, math.nan, NOT_FINITE)
        return self._value(roi, info, value, "" if math.isfinite(value) else NOT_FINITE)

    def _value(self, roi: Roi, info: FeatureInfo, value: float, reason: str) -> FeatureValue:
        return FeatureValue(
            segment=roi.segment.name,
            family=self.name,
            feature=info.name,
            value=math.nan if reason else value,
            unit=info.unit_for(roi.unit),
            ibsi=info.ibsi,
            reason=reason,
        )
