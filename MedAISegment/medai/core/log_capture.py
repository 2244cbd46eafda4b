"""Passing on what the library logs while a task runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

MAX_TEXT = 10_000


class LogCapture(logging.Handler):
    """While entered, hand what ``medai`` loggers say at INFO and above to a callable.

    Other packages' loggers are left out: nobody vouches that they name no patient.

    Parameters
    ----------
    receive : callable
        Called as ``receive(level, text)`` with the level in lower case.
    """

    def __init__(self, receive: Callable[[str, str], None]) -> None:
        super().__init__(logging.INFO)
        self._receive = receive
        self._logger = logging.getLogger("medai")

    def __enter__(self) -> LogCapture:
        self._old_level = self._logger.level
        self._logger.setLevel(min(logging.INFO, self._old_level or logging.INFO))
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._old_level)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on; a record that cannot be formatted is logging's to report, not the task's."""
        try:
            text = record.getMessage()[:MAX_TEXT]
        except Exception:
            self.handleError(record)
            return
        self._receive(record.levelname.lower(), text)
