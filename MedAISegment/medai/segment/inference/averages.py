"""The weighted means of all passes over all windows, for the slices that are being worked on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..manifest import Manifest
from .disagreement import MAPS, Disagreement
from .passes import Flip, Plan
from .ring import Ring, RowSums
from .room import place_for
from .slab import Slab
from .windows import Box, Layout, Triple, window_weights

if TYPE_CHECKING:
    import torch

Window = tuple[int, Box, Triple | None]
"""A window's row, where it lies, and the first voxels that it reaches before any other window of the run."""
SLAB_BYTES = 2**28
"""Scores that are fetched from a GPU at a time."""


class Averages:
    """Sums of scores, already divided by what the weights of all windows and passes add up to.

    Parameters
    ----------
    layout : Layout
    manifest : Manifest
    plan : Plan
    depth : int
        Slices that are worked on at a time.
    device : str
        Torch device of the networks; the sums lie there too if they fit.

    Raises
    ------
    OutOfMemory
        If the sums fit nowhere.
    """

    def __init__(self, layout: Layout, manifest: Manifest, plan: Plan, depth: int, device: str) -> None:
        self.layout, self.plan = layout, plan
        self.bytes = Ring.bytes_for(manifest.classes, depth, layout.shape)
        self.place = place_for(self.bytes, device)
        self._step = max(1, SLAB_BYTES // Ring.bytes_for(manifest.classes, 1, layout.shape))
        self._sums = RowSums(layout, window_weights(manifest.window, manifest.inference), self.place)
        self._ring = Ring(manifest.classes, depth, layout.shape, self.place)
        self._maps = Ring(len(MAPS), depth, layout.shape, self.place) if plan.spread else None
        self._event: Any = None

    def add(self, windows: Sequence[Window], scores: torch.Tensor, flip: Flip, later: bool) -> None:
        """Add one pass over a batch of windows.

        Parameters
        ----------
        scores : torch.Tensor, shape (B, classes, K, J, I)
        flip : tuple of int
            Axes along which the pass saw its windows mirrored.
        later : bool
            Another pass over the same windows came before.
        """
        import torch

        with torch.inference_mode():
            for part, (row, box, fresh) in zip(scores, windows, strict=True):
                share = self._sums.share(box, row) / self.plan.count
                self._ring.add(part.to(self.place), share, box, None if later else fresh, flip)
        self.throttle(scores)

    def add_mean(self, window: Window, scores: torch.Tensor, passes: int) -> None:
        """Add scores (classes, K, J, I) that are the mean of so many passes over one window."""
        import torch

        row, box, fresh = window
        with torch.inference_mode():
            share = self._sums.share(box, row) * (passes / self.plan.count)
            self._ring.add(scores.to(self.place), share, box, fresh)

    def add_compared(self, windows: Sequence[Window], found: Sequence[Disagreement]) -> None:
        """Add the means of all passes over a batch of windows, and how far they differ."""
        import torch

        assert self._maps is not None
        with torch.inference_mode():
            for differences, window in zip(found, windows, strict=True):
                scores, maps = differences.finish()
                self.add_mean(window, scores, self.plan.count)
                row, box, fresh = window
                self._maps.add(maps.to(self.place), self._sums.share(box, row), box, fresh)

    def throttle(self, scores: torch.Tensor) -> None:
        """Wait for the batch before this one on a GPU, so that Cancel never waits for a long queue."""
        if not scores.is_cuda:
            return
        import torch

        event = torch.cuda.Event()
        event.record()
        if self._event is not None:
            self._event.synchronize()
        self._event = event

    def slabs(self, start: int, stop: int) -> Iterator[Slab]:
        """Yield finished slices, on the CPU."""
        step = max(stop - start, 1) if self.place == "cpu" else self._step
        for first in range(start, stop, step):
            for low, high, sums in self._ring.slices(first, min(first + step, stop)):
                maps = {}
                if self._maps is not None:
                    (_, _, both), *_ = self._maps.slices(low, high)
                    maps = {name: both[n].to("cpu") for n, name in enumerate(MAPS)}
                yield Slab(low, sums.to("cpu"), maps)
