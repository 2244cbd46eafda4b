"""What a runner gives back for a submitted task, and what every runner can do."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .errors import Cancelled, MedAIError
from .progress import CancelToken

EventKind = Literal["progress", "log", "result", "error", "cancelled"]
MAX_QUEUED_EVENTS = 10_000


@dataclass(frozen=True)
class Event:
    """Something that happened in a job.

    Parameters
    ----------
    kind : str
        ``progress``, ``log``, or one of the last events: ``result``, ``error``, ``cancelled``.
    fraction : float
        Share of the work that is done, 0 to 1.
    message : str
        For people; an error's whole text.
    data : dict
        A result's outputs, an error's :meth:`~medai.core.errors.MedAIError.to_dict`, a log line's ``level``.
    """

    kind: EventKind
    fraction: float = 0.0
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class Job:
    """One run of a task.  Every method may be called from any thread, and only :meth:`result` waits.

    Parameters
    ----------
    task : str
        Name of the task, ``package.module:function``.
    cancel : CancelToken, optional
        The flag that :meth:`cancel` sets; a new one if not given.
    """

    def __init__(self, task: str, cancel: CancelToken | None = None) -> None:
        self.task = task
        self.token = cancel or CancelToken()
        self._events: deque[Event] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._fraction = 0.0
        self._finished = threading.Event()
        self._outputs: dict[str, Any] | None = None
        self._error: MedAIError | Cancelled | None = None

    def events(self) -> list[Event]:
        """Return what happened since the last call, oldest first, without waiting.

        The last event of a job is its ``result``, ``error`` or ``cancelled``.  If nobody calls this, the oldest events
        are dropped.
        """
        found = []
        while True:
            try:
                found.append(self._events.popleft())
            except IndexError:
                return found

    @property
    def done(self) -> bool:
        """True once the job has a result or an error, or has stopped after :meth:`cancel`."""
        return self._finished.is_set()

    def cancel(self) -> None:
        """Ask the job to stop, without waiting; a job that is done stays as it is."""
        self.token.cancel()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the outputs.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; for ever if not given.

        Raises
        ------
        MedAIError
            If the task failed.
        Cancelled
            If the job was cancelled.
        TimeoutError
            If the job is not done in time; it goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        # Short waits, because one long wait cannot be interrupted by Ctrl+C on Windows.
        while not self._finished.wait(0.2 if end is None else max(0.0, min(0.2, end - time.monotonic()))):
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"{self.task} is not done after {timeout:g} s")
        if self._error is not None:
            raise self._error
        return self._outputs or {}

    def report_progress(self, fraction: float, message: str = "") -> None:
        """Queue a ``progress`` event; for runners."""
        if not math.isfinite(fraction):
            return
        self._fraction = min(max(float(fraction), 0.0), 1.0)
        self._events.append(Event("progress", self._fraction, message))

    def report_log(self, message: str, level: str = "info") -> None:
        """Queue a ``log`` event; for runners."""
        self._events.append(Event("log", self._fraction, message, {"level": level}))

    def succeed(self, outputs: dict[str, Any]) -> None:
        """End the job with its outputs; for runners."""
        self._outputs = outputs
        self._events.append(Event("result", 1.0, "", outputs))
        self._finished.set()

    def fail(self, error: MedAIError | Cancelled) -> None:
        """End the job with an error or as cancelled; for runners."""
        self._error = error
        if isinstance(error, MedAIError):
            self._events.append(Event("error", self._fraction, str(error), error.to_dict()))
        else:
            self._events.append(Event("cancelled", self._fraction, "Cancelled."))
        self._finished.set()


class Runner(Protocol):
    """Runs tasks: in this thread (``InlineRunner``) or in another process (``WorkerRunner``)."""

    def submit(self, task: str, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> Job:
        """Start a task.

        Parameters
        ----------
        task : str
            ``"package.module:function"`` inside ``medai``, see :mod:`medai.core.task`.
        inputs : mapping of str
            Volume, LabelMap, Geometry, Table, numpy arrays and JSON values, see :mod:`medai.core.codec`.
        settings : mapping of str
            JSON values.
        """
        ...

    def close(self) -> None:
        """Cancel what runs and release everything."""
        ...
