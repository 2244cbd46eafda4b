"""Sums over overlapping windows for the few slices that are not finished yet; the same memory again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .windows import Box, Layout, Triple, Weights

if TYPE_CHECKING:
    import torch

CHUNK_BYTES = 2**23
"""Scores that are mirrored or converted at a time on the CPU: what fits into its cache."""


class RowSums:
    """What the weights of all windows add up to, row by row of windows, so that scores can be divided beforehand.

    Parameters
    ----------
    layout : Layout
    weights : array, shape of a window
    device : str
        Torch device.
    """

    def __init__(self, layout: Layout, weights: Weights, device: str) -> None:
        import torch

        self.layout = layout
        self.weights = torch.from_numpy(weights).to(device)
        _, height, width = layout.shape
        self._profile = torch.zeros((layout.window[0], height, width), dtype=torch.float32, device=device)
        for box, _ in layout.row(0):
            (_, j, i), (_, wj, wi) = box.image, box.inside
            self._profile[:, j, i] += self.weights[:, wj, wi]
        self._near: tuple[int, ...] = ()
        self._sum = self._profile

    def shares(self, row: int) -> torch.Tensor:
        """Return the sum of the weights at each voxel of a row: shape (window's K, J, I); do not change it."""
        starts, depth = self.layout.starts[0], self.layout.window[0]
        near = tuple(s - starts[row] for s in starts if abs(s - starts[row]) < depth)
        if near != self._near:
            total = self._profile.new_zeros(self._profile.shape)
            for offset in near:
                low, high = max(offset, 0), min(offset + depth, depth)
                total[low:high] += self._profile[low - offset : high - offset]
            self._near, self._sum = near, total
        return self._sum

    def share(self, box: Box, row: int) -> torch.Tensor:
        """Return what each voxel of a window adds to the weighted mean there; shape of ``box.inside``."""
        k, j, i = box.inside
        _, image_j, image_i = box.image
        return self.weights[k, j, i] / self.shares(row)[k, image_j, image_i]


class Ring:
    """Running sums of ``channels`` values for the last ``depth`` slices; slice k lies at ``k % depth``.

    The first window that reaches a row of voxels writes there, the later ones add.

    Parameters
    ----------
    channels, depth : int
    shape : tuple of int
        Voxels of the image along K, J, I.
    device : str
        Torch device.
    """

    def __init__(self, channels: int, depth: int, shape: Triple, device: str) -> None:
        import torch

        self.depth = min(depth, shape[0])
        self._sums = torch.empty((channels, self.depth, *shape[1:]), dtype=torch.float32, device=device)

    @staticmethod
    def bytes_for(channels: int, depth: int, shape: Triple) -> int:
        """Return the memory that a ring takes."""
        return 4 * channels * min(depth, shape[0]) * shape[1] * shape[2]

    def add(
        self, scores: torch.Tensor, share: torch.Tensor, box: Box, fresh: Triple | None, flip: tuple[int, ...] = ()
    ) -> None:
        """Add a window's scores times their share.

        Parameters
        ----------
        scores : torch.Tensor, any float type, shape (channels, window)
        share : torch.Tensor, float32, shape of the covered part
        fresh : tuple of int, optional
            First voxel along each axis that no earlier window of this run reached: there the sums are written instead
            of added to.  None: every voxel was reached before.
        flip : tuple of int
            Axes of the window (0, 1, 2) along which the scores are turned back first.
        """
        import torch

        if not flip and scores.dtype == torch.float32:
            self._add(scores[(slice(None), *box.inside)], share, box, fresh, slice(None))
            return
        # Turned and converted a few channels at a time, so that the copies stay in the cache.
        step = scores.shape[0] if scores.is_cuda else max(1, CHUNK_BYTES // (4 * scores[0].numel()))
        for first in range(0, scores.shape[0], step):
            which = slice(first, first + step)
            part = scores[which].float()
            if flip:
                part = torch.flip(part, [axis + 1 for axis in flip])
            self._add(part[(slice(None), *box.inside)], share, box, fresh, which)

    def _add(self, scores: torch.Tensor, share: torch.Tensor, box: Box, fresh: Triple | None, channels: slice) -> None:
        import torch

        for low, high, first in self._pieces(box, fresh):
            a, b = (tuple(p - q for p, q in zip(end, box.low, strict=True)) for end in (low, high))
            inner = (slice(a[0], b[0]), slice(a[1], b[1]), slice(a[2], b[2]))
            at = low[0] % self.depth
            where = (channels, slice(at, at + high[0] - low[0]), slice(low[1], high[1]), slice(low[2], high[2]))
            sums, part, weight = self._sums[where], scores[(slice(None), *inner)], share[inner]
            if first:
                torch.mul(part, weight, out=sums)
                self._sums[(*where[:3], slice(high[2], None))] = 0
            else:
                sums.addcmul_(part, weight)

    def _pieces(self, box: Box, fresh: Triple | None) -> Iterator[tuple[Triple, Triple, bool]]:
        """Cut a box where it enters new slices and rows and where the ring starts again; True: to be written.

        Never cut along axis 2: short runs are slow.  Instead the first window of a strip along axis 2 sets the rest of
        its new rows to zero, and the strip's other windows add.
        """
        (k0, j0, i0), (k1, j1, i1) = box.low, box.high
        if fresh is None or fresh[2] > 0:
            parts: tuple[tuple[Triple, Triple, bool], ...] = (((k0, j0, i0), (k1, j1, i1), False),)
        else:
            fk, fj = min(max(fresh[0], k0), k1), min(max(fresh[1], j0), j1)
            parts = (
                ((k0, j0, i0), (fk, j1, i1), False),
                ((fk, j0, i0), (k1, fj, i1), False),
                ((fk, fj, i0), (k1, j1, i1), True),
            )
        for low, high, first in parts:
            if any(a >= b for a, b in zip(low, high, strict=True)):
                continue
            turn = (low[0] // self.depth + 1) * self.depth
            if high[0] > turn:
                yield low, (turn, high[1], high[2]), first
                yield (turn, low[1], low[2]), high, first
            else:
                yield low, high, first

    def slices(self, low: int, high: int) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Yield ``(start, stop, sums)`` for slices ``low`` to ``high``, cut where the ring starts again."""
        while low < high:
            at = low % self.depth
            stop = min(high, low + self.depth - at)
            yield low, stop, self._sums[:, at : at + stop - low]
            low = stop
