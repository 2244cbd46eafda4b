"""The largest patch and network that fit a data set, the memory, and what a device can do in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medai.core.errors import InputError

from .plan_network import Layout, layout_of, training_mib, weight_count
from .plan_words import listed, times

LITTLE = 0.05
"""Share of the image below which a patch may show too little of it."""


@dataclass(frozen=True)
class Power:
    """What a kind of device is given to do.

    Parameters
    ----------
    voxels : int
        Of a patch, at most.
    first, most : int
        Features of the finest level, and of the coarsest.
    seen : float
        Voxels of all patches of a training together.
    samples : tuple of int
        Fewest and most patches of a training.
    batch : int
        Largest batch.
    """

    voxels: int
    first: int
    most: int
    seen: float
    samples: tuple[int, int]
    batch: int


POWER: dict[str, Power] = {
    # About 100 minutes on 2 cores with the shipped hippocampus model's settings (see its training.json).
    "cpu": Power(64**3, 24, 128, 1.5e9, (2_000, 16_000), 2),
    # nnU-Net's network and patches; a fifth of its 500,000 patches, as the averaged weights converge earlier.
    "cuda": Power(256**3, 32, 320, 2e11, (20_000, 100_000), 16),
}


@dataclass(frozen=True)
class PatchPlan:
    """What decides the network: the images, and what there is to compute with.

    Parameters
    ----------
    size, spacing : (K, J, I)
        Median size in voxels on the model's grid, and its spacing in mm.
    channels, classes : int
        Classes with background.
    half : bool
        Products are computed in 16 bits.
    memory : float
        MiB.
    """

    size: tuple[float, float, float]
    spacing: tuple[float, float, float]
    channels: int
    classes: int
    half: bool
    memory: float
    power: Power

    def mib(self, layout: Layout, filters: Sequence[int], patch: Sequence[int], batch: int) -> float:
        """Return the memory that a training step takes."""
        return training_mib(layout, filters, patch, batch, self.channels, self.classes, self.half)

    def decide(self, cases: int, why: list[str]) -> tuple[Layout, tuple[int, ...], tuple[int, int, int], int]:
        """Return layout, features, patch and batch."""
        first, batch = self.power.first, 2
        layout, patch = self._shrunk(first, batch)
        while self.mib(layout, layout.filters(first, self.power.most), patch, batch) > self.memory:
            if batch > 1:
                batch = 1
            elif first > 8:
                first //= 2
            else:
                least = self.mib(layout, layout.filters(first, self.power.most), patch, batch)
                raise InputError(
                    f"Training takes {least:.0f} MiB at least, {self.memory:.0f} MiB are allowed.",
                    hint="Allow more memory, or close other programs.",
                )
            layout, patch = self._shrunk(first, batch)
        filters = layout.filters(first, self.power.most)
        if batch == 2:
            batch = self._larger(layout, filters, patch, cases)
        self._explain(layout, filters, patch, batch, why)
        return layout, filters, patch, batch

    def _explain(
        self, layout: Layout, filters: Sequence[int], patch: Sequence[int], batch: int, why: list[str]
    ) -> None:
        weights = weight_count(layout, filters, self.channels, self.classes) / 1e6
        sides = (
            "every level halves each axis"
            if layout.uniform
            else "short or coarse axes are halved later than the others, and convolutions reach along coarse ones later"
        )
        why.append(
            f"The network has {layout.levels} levels of {listed(filters)} features, about {weights:.1f} million "
            f"weights; {sides}."
        )
        share = math.prod(min(1.0, n / m) for n, m in zip(patch, self.size, strict=True))
        reach = "covers the median image"
        if share < 1:
            reach = f"covers {100 * share:.2g} % of the median image; larger ones would take more memory or time"
        if share < LITTLE:
            reach += " (if the structures are much larger than a patch, ask for a coarser spacing)"
        lengths = [round(n * mm) for n, mm in zip(patch, self.spacing, strict=True)]
        why.append(
            f"A patch has {times(patch[::-1])} voxels ({times(lengths[::-1])} mm) and {reach}. Its sizes are multiples "
            f"of the network's strides, {times(layout.step[::-1])}."
        )
        need = self.mib(layout, filters, patch, batch)
        why.append(
            f"A batch of {batch} {'patch' if batch == 1 else 'patches'} takes about {need:.0f} MiB; {self.memory:.0f} "
            "MiB are allowed."
        )

    def _shrunk(self, first: int, batch: int) -> tuple[Layout, tuple[int, int, int]]:
        """Return the largest patch that fits, made smaller where it is largest against the image."""
        cube = [1 / mm for mm in self.spacing]
        scale = (self.power.voxels / math.prod(cube)) ** (1 / 3)
        wanted = [min(n, round(edge * scale)) for n, edge in zip(self.size, cube, strict=True)]
        layout = layout_of(wanted, self.spacing)
        patch = layout.around(wanted)
        while (
            self.mib(layout, layout.filters(first, self.power.most), patch, batch) > self.memory
            or math.prod(patch) > 1.3 * self.power.voxels
        ):
            able = [axis for axis in range(3) if patch[axis] > max(8, layout.step[axis])]
            if not able:
                break
            axis = max(able, key=lambda n: patch[n] / self.size[n])
            smaller = [n - layout.step[axis] if at == axis else n for at, n in enumerate(patch)]
            layout = layout_of(smaller, self.spacing)
            patch = layout.around(smaller)
        return layout, patch

    def _larger(self, layout: Layout, filters: Sequence[int], patch: Sequence[int], cases: int) -> int:
        """Return the largest batch that fits and holds at most a twentieth of the data set's voxels (nnU-Net)."""
        share = 0.05 * math.prod(self.size) * cases / math.prod(patch)
        most = min(self.power.batch, math.floor(share + 1e-6))
        batch = 2
        while batch < most and self.mib(layout, filters, patch, batch + 1) <= self.memory:
            batch += 1
        return batch
