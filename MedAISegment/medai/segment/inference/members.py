"""The networks of an ensemble, all ready at once if memory allows, else one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from medai.core.errors import OutOfMemory

from ..backends import Session
from .network import NetworkSource

Opener = Callable[[NetworkSource], Session]


class Members:
    """Sessions by member number.

    Parameters
    ----------
    sources : sequence of NetworkSource
    opener : callable
        ``opener(source)`` returns a session that is ready.
    release : callable
        Gives the memory of all sessions back that nobody holds.
    alone : bool
        One at a time is sensible: members take turns row by row of windows, not at each window.
    """

    def __init__(
        self, sources: Sequence[NetworkSource], opener: Opener, release: Callable[[], Any], *, alone: bool
    ) -> None:
        self.sources = tuple(sources)
        self._open, self._release, self._may_be_alone = opener, release, alone
        self._held: dict[int, Session] = {}
        self.one_at_a_time = False

    def get(self, number: int) -> Session:
        """Return a member's session; if it does not fit beside the others, they go.

        Raises
        ------
        OutOfMemory
            If it does not fit alone, or may not be alone.
        """
        if number not in self._held:
            if self.one_at_a_time:
                self._drop()
            try:
                self._held[number] = self._open(self.sources[number])
            except OutOfMemory:
                if not self._alone_from_now(number):
                    raise
                self._held[number] = self._open(self.sources[number])
        return self._held[number]

    def get_alone(self, number: int) -> Session | None:
        """Return a member's session after the others went, or None if there were none or it may not be alone."""
        return self.get(number) if self._alone_from_now(number) else None

    def close(self) -> None:
        """Let go of all sessions; those that are kept warm stay so."""
        self._held.clear()

    def _alone_from_now(self, number: int) -> bool:
        if not self._may_be_alone or not set(self._held) - {number}:
            return False
        self.one_at_a_time = True
        self._drop()
        return True

    def _drop(self) -> None:
        if self._held:
            self._held.clear()
            self._release()
