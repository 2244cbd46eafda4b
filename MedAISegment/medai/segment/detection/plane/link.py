"""From the instances of single slices to objects: those of neighbouring slices that overlap belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .instances import Instance, mask_iou
from .settings import LinkSettings


@dataclass(eq=False)
class Thing:
    """An object: its instance in each slice where it is seen, slices rising."""

    parts: list[tuple[int, Instance]] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The best score of its instances."""
        return max(instance.score for _, instance in self.parts)

    @property
    def kind(self) -> int:
        """Class, from 1; all instances have the same."""
        return self.parts[0][1].kind

    @property
    def low(self) -> tuple[float, float, float]:
        """Slice, top and left at which the object begins, in edge coordinates."""
        boxes = [instance.box for _, instance in self.parts]
        return float(self.parts[0][0]), min(b[1] for b in boxes), min(b[0] for b in boxes)

    @property
    def high(self) -> tuple[float, float, float]:
        """Slice, bottom and right at which it ends, in edge coordinates."""
        boxes = [instance.box for _, instance in self.parts]
        return float(self.parts[-1][0] + 1), max(b[3] for b in boxes), max(b[2] for b in boxes)


def linked(planes: Sequence[Sequence[Instance]], settings: LinkSettings | None) -> list[Thing]:
    """Join the instances of neighbouring slices.

    From slice to slice, the pairs of an object's last instance and a new instance of its class are chosen so that the
    summed overlap of the masks is largest (the assignment problem); a pair that overlaps less than asked for is none.
    So an object never has two instances in a slice, and no instance belongs to two objects.

    Parameters
    ----------
    planes : sequence of sequences of Instance
        One for each slice, in order.
    settings : LinkSettings, optional
        None: every instance is an object of its own.

    Returns
    -------
    list of Thing
        Best score first; equal scores in the order in which they begin.
    """
    from scipy.optimize import linear_sum_assignment

    if settings is None:
        things = [Thing([(k, instance)]) for k, plane in enumerate(planes) for instance in plane]
        return sorted(things, key=lambda thing: -thing.score)
    things = []
    for k, plane in enumerate(planes):
        open_things = [thing for thing in things if k - thing.parts[-1][0] <= settings.gap + 1]
        overlap = np.zeros((len(open_things), len(plane)))
        for row, thing in enumerate(open_things):
            for column, instance in enumerate(plane):
                if thing.kind == instance.kind:
                    overlap[row, column] = mask_iou(thing.parts[-1][1], instance)
        overlap[overlap < settings.iou] = 0.0
        new = set(range(len(plane)))
        for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            if overlap[row, column] > 0:
                open_things[row].parts.append((k, plane[column]))
                new.discard(int(column))
        things += [Thing([(k, plane[column])]) for column in sorted(new)]
    kept = [thing for thing in things if len(thing.parts) >= settings.slices]
    return sorted(kept, key=lambda thing: -thing.score)
