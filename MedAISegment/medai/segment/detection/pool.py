"""Scans for a detector: generated chests, real backgrounds, scans with nodules to be measured on, labelled data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from medai.core.errors import InputError
from medai.core.io import read_labelmap, read_volume
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.volume import Volume

from ..boxes import label_boxes
from ..training.cases import find_pairs
from .phantom import Background, PhantomSettings, thorax_phantom
from .recipe import PhantomPool
from .result import Detection, Detections
from .samples import Labelled
from .synthesis import Planted, SynthesisSettings, plant

SPACINGS = 77
"""Stream of random numbers that voxel sizes are drawn from."""


def phantom(pool: PhantomPool, number: int) -> Background:
    """Return one chest of a pool; it depends on the pool's seed and its number only."""
    generator = np.random.default_rng([SPACINGS, number])
    plane, slices = generator.uniform(*pool.in_plane_mm), generator.uniform(*pool.slice_mm)
    return thorax_phantom((pool.seed, number), PhantomSettings(spacing=(plane, plane, slices)))


def mixed(
    pool: PhantomPool,
    real: Sequence[Background],
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> list[Background]:
    """Return the pool's chests with a real background after every second one: a third of all windows.

    Raises
    ------
    InputError
        If there are neither.
    """
    token = cancel or CancelToken()
    found: list[Background] = []
    for number in range(pool.count):
        token.check()
        found.append(phantom(pool, number))
        if real and number % 2 == 0:
            found.append(real[number // 2 % len(real)])
        progress((number + 1) / pool.count, "generating chests")
    if not pool.count:
        found = list(real)
    if not found:
        raise InputError("There is no background: no phantoms are asked for and no scan is given.")
    return found


def scans_with_nodules(
    backgrounds: Sequence[Background], count: int, settings: SynthesisSettings, seed: int
) -> Iterator[tuple[str, Planted]]:
    """Yield scans: the backgrounds in turn, each time with other nodules; one at a time, so that memory holds one."""
    for number in range(count):
        background = backgrounds[number % len(backgrounds)]
        planted = plant(background.volume, background.place, settings, seed=(seed, number))
        yield f"{background.name} {number + 1:03d}".strip(), planted


def with_ignored(truth: Detections, labels: LabelMap) -> Detections:
    """Add what a label map marks as findings that count neither way.

    Raises
    ------
    GeometryError
        If the labels lie on another grid.
    """
    truth.geometry.require_same(labels.geometry, "labels'")
    boxes = label_boxes(labels.array, [segment.label for segment in labels.segments])
    more = tuple(
        Detection.of(truth.geometry, (i.start, j.start, k.start), (i.stop, j.stop, k.stop), name="Ignored", ignore=True)
        for k, j, i in boxes.values()
    )
    return dataclasses.replace(truth, items=truth.items + more)


def labelled_from(volume: Volume, labels: LabelMap, name: str = "", *, kind: str = "Nodule") -> Labelled:
    """Return a scan whose label map holds one value for each finding.

    Raises
    ------
    GeometryError
        If the labels lie on another grid.
    """
    volume.geometry.require_same(labels.geometry, "labels'")
    boxes = label_boxes(labels.array, [segment.label for segment in labels.segments])
    items = []
    for label, (k, j, i) in sorted(boxes.items()):
        low, high = (i.start, j.start, k.start), (i.stop, j.stop, k.stop)
        items.append(Detection.of(volume.geometry, low, high, name=kind, mask_label=label))
    return Labelled(volume, Detections(tuple(items), volume.geometry, masks=labels, name=name), name)


def labelled_folder(
    folder: str | Path, *, kind: str = "Nodule", progress: ProgressFn = no_progress, cancel: CancelToken | None = None
) -> list[Labelled]:
    """Read a folder with ``images`` and ``labels``; in a label map each value is one finding.

    Raises
    ------
    InputError
        If there are no pairs, or none of the label maps holds a finding.
    """
    token = cancel or CancelToken()
    pairs = find_pairs(folder)
    found = []
    for number, pair in enumerate(pairs):
        token.check()
        found.append(labelled_from(read_volume(pair.image), read_labelmap(pair.labels), pair.case, kind=kind))
        progress((number + 1) / len(pairs), f"reading {pair.case}")
    if not any(len(item.truth) for item in found):
        raise InputError("None of the label maps holds a finding.", hint="Give each finding its own value.")
    return found
