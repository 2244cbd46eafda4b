"""Work in a thread beside, so that the caller can stop waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import TypeVar

from medai.core.progress import CancelToken

POLL_SECONDS = 0.1
T = TypeVar("T")

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def aside(work: Callable[[], T], cancel: CancelToken) -> T:
    """Return ``work()``, run in the one thread that all networks share.

    A network cannot be stopped inside a pass, which may take ten seconds on a CPU.  After a cancel the pass goes on,
    what it gives is dropped, and the next caller's work waits until it is over: two passes never run at once.

    Raises
    ------
    Cancelled
        Within :data:`POLL_SECONDS` after somebody asked to stop.
    """
    global _pool
    cancel.check()
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(1, thread_name_prefix="medai-windows")
        future: Future[T] = _pool.submit(work)
    try:
        while not wait_for((future,), timeout=POLL_SECONDS).done:
            cancel.check()
        cancel.check()
    except BaseException:
        future.cancel()
        raise
    return future.result()
