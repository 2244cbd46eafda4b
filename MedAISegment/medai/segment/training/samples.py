"""What a training reads: numbered samples, each made from its own seed, so that a resumed run sees the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    Batch = tuple[torch.Tensor, torch.Tensor]

Sample = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]


class Samples(Protocol):
    """A source of samples.

    ``sample(epoch, position)`` depends on nothing but its two numbers (and the recipe), never on what was asked for
    before: that makes a training repeatable, resumable, and independent of how many threads prepare its samples.
    """

    @property
    def digest(self) -> str:
        """SHA-256 of everything that samples are made of: a checkpoint of other data is not gone on with."""

    def __len__(self) -> int:
        """Return the number of samples of one epoch."""

    def sample(self, epoch: int, position: int) -> Sample:
        """Return image float32 (C, K, J, I), as the network reads it, and classes uint8 (K, J, I)."""


def digest_of(named: Iterable[tuple[str, Iterable[npt.NDArray[Any]]]]) -> str:
    """Return the SHA-256 of named arrays: names, shapes, types and values, in order."""
    found = hashlib.sha256()
    for name, arrays in named:
        for array in arrays:
            found.update(f"{name}|{array.shape}|{array.dtype.str}|".encode())
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def seed_of(seed: int, epoch: int, position: int) -> int:
    """Return the seed (32 bit) of one sample."""
    return int(np.random.SeedSequence([seed, epoch, position]).generate_state(1)[0])


def order_of(seed: int, epoch: int, cases: int, samples: int) -> list[int]:
    """Return the case of each sample of an epoch: every case once in random order, then again, up to ``samples``."""
    random = np.random.default_rng([seed, epoch])
    rounds = [random.permutation(cases) for _ in range(-(-samples // cases))]
    return [int(x) for x in np.concatenate(rounds)[:samples]]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in the calling thread alone.

    A patch goes through dozens of operations of a fraction of a millisecond.  Shared among threads, each of them ends
    with waiting for the slowest, which on a busy machine costs ten times the work itself.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def batches(samples: Samples, epoch: int, batch: int, workers: int) -> Iterator[Batch]:
    """Yield an epoch's batches in order: images (B, C, K, J, I) float32 and classes (B, K, J, I) int64.

    Parameters
    ----------
    workers : int
        Threads that prepare the next samples while the network works; 0: none, for machines where the network uses
        every core anyway.
    """
    total = len(samples)
    starts = range(0, total, batch)
    if not workers:
        for start in starts:
            yield _stack([samples.sample(epoch, n) for n in range(start, min(total, start + batch))])
        return
    ahead = 2 * workers
    with ThreadPoolExecutor(workers) as pool:
        waiting = {n: pool.submit(samples.sample, epoch, n) for n in range(min(ahead, total))}
        try:
            for start in starts:
                made = []
                for n in range(start, min(total, start + batch)):
                    made.append(waiting.pop(n).result())
                    if n + ahead < total:
                        waiting[n + ahead] = pool.submit(samples.sample, epoch, n + ahead)
                yield _stack(made)
        finally:
            for future in waiting.values():
                future.cancel()


def _stack(items: list[Sample]) -> Batch:
    import torch

    image = torch.from_numpy(np.stack([image for image, _ in items]))
    classes = torch.from_numpy(np.stack([classes for _, classes in items]).astype(np.int64))
    return image, classes
