"""Sets of scans that a detector is measured on; scans are made one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from medai.core.labelmap import LabelMap

from .measure import MeasureScan
from .phantom import Background
from .pool import phantom, scans_with_nodules, with_ignored
from .recipe import PhantomPool
from .samples import Labelled
from .synthesis import SynthesisSettings

TEST_SEED = 91
"""Seed of the chests and nodules that detectors are measured on; training uses others."""


@dataclass(frozen=True)
class DetectionTest:
    """A set of scans.

    Parameters
    ----------
    name, about : str
        For people: what the scans are, and what of them training has seen.
    count : int
    scans : callable
        Returns an iterable of the scans, anew at each call.
    """

    name: str
    about: str
    count: int
    scans: Callable[[], Iterable[MeasureScan]]


def planted_test(
    name: str, about: str, background: Background, count: int, settings: SynthesisSettings,
    *, seed: int = TEST_SEED, ignored: LabelMap | None = None,
) -> DetectionTest:  # fmt: skip
    """Return one real background with other nodules in each scan.

    Parameters
    ----------
    ignored : LabelMap, optional
        What is really there and must count neither way, such as a tumour.
    """

    def scans() -> Iterator[MeasureScan]:
        for title, planted in scans_with_nodules([background], count, settings, seed):
            truth = planted.truth if ignored is None else with_ignored(planted.truth, ignored)
            yield MeasureScan(title, planted.volume, truth)

    return DetectionTest(name, about, count, scans)


def phantom_test(count: int, settings: SynthesisSettings, *, seed: int = TEST_SEED) -> DetectionTest:
    """Return generated chests, another one for each scan."""
    pool = PhantomPool(seed=seed)

    def scans() -> Iterator[MeasureScan]:
        for number in range(count):
            ((title, planted),) = scans_with_nodules([phantom(pool, number)], 1, settings, seed + number)
            yield MeasureScan(title, planted.volume, planted.truth)

    about = "Generated chests with planted nodules; none of these chests or nodules was in training."
    return DetectionTest("generated chests", about, count, scans)


def labelled_test(name: str, about: str, cases: Sequence[Labelled]) -> DetectionTest:
    """Return labelled scans."""

    def scans() -> Iterator[MeasureScan]:
        for case in cases:
            yield MeasureScan(case.name, case.volume, case.truth)

    return DetectionTest(name, about, len(cases), scans)
