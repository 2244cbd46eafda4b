"""Progress and cancellation, the two arguments every long step takes.

``progress`` is a callable ``progress(fraction, message)`` with ``fraction`` in [0, 1]; ``cancel`` is a
:class:`CancelToken` whose :meth:`CancelToken.check` raises :class:`~medai.core.errors.Cancelled`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from .errors import Cancelled

ProgressFn = Callable[[float, str], None]


class CancelToken:
    """Thread-safe flag that a step polls at least once a second."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work that holds this token to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once :meth:`cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise :class:`Cancelled` if somebody asked to stop."""
        if self._event.is_set():
            raise Cancelled()


def no_progress(fraction: float, message: str = "") -> None:
    """Swallow progress; the default of every step."""


def sub_progress(progress: ProgressFn, start: float, stop: float) -> ProgressFn:
    """Map a part's own 0..1 onto ``start``..``stop`` of the whole.

    Parameters
    ----------
    progress : callable
        The whole's progress.
    start, stop : float
        The share of the whole that this part takes, ``0 <= start <= stop <= 1``.
    """
    if not (0.0 <= start <= stop <= 1.0):
        raise ValueError(f"expected 0 <= start <= stop <= 1, got {start} and {stop}")

    def part(fraction: float, message: str = "") -> None:
        if math.isfinite(fraction):
            progress(start + (stop - start) * min(max(fraction, 0.0), 1.0), message)

    return part


def rising(progress: ProgressFn) -> ProgressFn:
    """Return a progress that never falls: work that begins anew tells its messages at the highest fraction so far."""
    highest = 0.0

    def told(fraction: float, message: str = "") -> None:
        nonlocal highest
        highest = max(highest, fraction)
        progress(highest, message)

    return told
