"""Matrix products on one thread each, while this package's own threads share out the work.

NumPy's matrix library starts as many threads as there are processors and lets them wait actively for each other.  With
threads of our own on top, or other programs beside, they wait for threads that do not run: the same work then took 3
to 15 s instead of 0.4 s.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any

_lock = threading.Lock()
_inside = 0
_limit: Any = None


@contextmanager
def one_thread() -> Iterator[int | None]:
    """Keep matrix products on the calling thread, for the whole process, until the last user has left.

    Yields
    ------
    int or None
        How many threads :func:`~medai.segment.slabs.for_slabs` should use for such products: None for all, or 1 where
        the package threadpoolctl is missing, so that the library's threads have the processors to themselves.
    """
    global _inside, _limit
    controller = _controller()
    if controller is None:
        yield 1
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _limit = controller.limit(limits=1, user_api="blas")
    try:
        yield None
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()
                _limit = None


@lru_cache(maxsize=1)
def _controller() -> Any:
    import_module("numpy")  # its matrix library is found once it is loaded
    try:
        return import_module("threadpoolctl").ThreadpoolController()
    except ImportError:
        return None
