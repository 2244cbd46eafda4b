"""Work on slabs of slices, on every core, with little memory and a quick answer to Cancel."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.progress import CancelToken, ProgressFn

Array = npt.NDArray[Any]
POLL_SECONDS = 0.2


def cores() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def for_slabs(
    count: int,
    function: Callable[[int, int], Any],
    *,
    slab: int,
    progress: ProgressFn,
    cancel: CancelToken,
    message: str = "",
    threads: int | None = None,
) -> list[Any]:
    """Call ``function(start, stop)`` for consecutive ranges of at most ``slab`` out of ``count``, on several threads.

    NumPy, SciPy and torch let go of Python's lock while they compute, so threads use all cores.  A call must take well
    under a second: cancelling waits for the calls that have begun.

    Returns
    -------
    list
        What the calls returned, in order.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    ranges = [(start, min(start + slab, count)) for start in range(0, count, slab)]
    results: list[Any] = [None] * len(ranges)
    workers = max(1, min(threads or cores(), len(ranges)))
    if workers == 1:
        for number, (start, stop) in enumerate(ranges):
            cancel.check()
            results[number] = function(start, stop)
            progress((number + 1) / len(ranges), message)
        return results
    waiting = iter(enumerate(ranges))
    running: dict[Future[Any], int] = {}
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        while True:
            cancel.check()
            while len(running) < workers:
                item = next(waiting, None)
                if item is None:
                    break
                running[pool.submit(function, *item[1])] = item[0]
            if not running:
                return results
            for future in wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                results[running.pop(future)] = future.result()
                done += 1
                progress(done / len(ranges), message)


def with_halo(array: Array, start: int, stop: int, halo: int, mode: str = "reflect") -> Array:
    """Return slices ``start - halo`` to ``stop + halo`` of an array (K, ...), as a view where the image has them.

    Parameters
    ----------
    mode : {"reflect", "nearest"}
        What stands beyond the image: slices mirrored about the edge of the last one (SciPy's ``reflect``, which NumPy
        calls ``symmetric``), or the last one again.
    """
    size = len(array)
    low, high = start - halo, stop + halo
    if low >= 0 and high <= size:
        return array[low:high]
    index = np.arange(low, high)
    if mode == "nearest":
        index = np.clip(index, 0, size - 1)
    else:
        index = np.mod(index, 2 * size)
        index = np.minimum(index, 2 * size - 1 - index)
    return array[index]
