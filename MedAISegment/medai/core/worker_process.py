"""The owner's end of one worker process: start it, talk to it, know why it ended, end it."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import WorkerError
from .interpreter import child_environment
from .process_tree import end_tree, is_alive, new_group_arguments
from .redact import redact
from .scratch import Scratch
from .worker import PROTOCOL

if TYPE_CHECKING:
    import psutil

MAX_LINE = 1024 * 1024
_LOOK_SECONDS = 0.2
_TAIL_LINES = 40
_LAST_BREATH_SECONDS = 0.3
_CRASH_REPORTS = ("Fatal Python error:", "Windows fatal exception:")
_MALFORMED = "malformed"
_KILLED = "was killed, probably by the operating system because the memory ran out"
_MEMORY = "Close other programs, crop or coarsen the image, or choose a smaller patch. "
_AGAIN = "Nothing was changed; run it again."
_FIELDS: dict[str, dict[str, type]] = {
    "ready": {"protocol": int, "pid": int},
    "progress": {"job": int, "fraction": float, "message": str},
    "log": {"job": int, "level": str, "message": str},
    "result": {"job": int},
    "error": {"job": int, "error": dict},
    "cancelled": {"job": int},
}


class WorkerProcess:
    """One ``python -m medai.core.worker``.

    Parameters
    ----------
    python : str
        The interpreter, which may be a launcher that starts the real one.
    scratch : Scratch
        The owner's private folder.

    Raises
    ------
    WorkerError
        If the interpreter cannot be started.
    """

    def __init__(self, python: str, scratch: Scratch) -> None:
        import psutil

        self._worker: psutil.Process | None = None
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._next_look = 0.0
        self.ready = False
        try:
            self._child = subprocess.Popen(
                [python, "-m", "medai.core.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=child_environment(scratch.temporary), **new_group_arguments(),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise WorkerError(
                f"The Python interpreter {Path(python).name!r} cannot be started "
                f"({getattr(error, 'strerror', None) or type(error).__name__}).",
                hint="Name a working one.",
            ) from None
        self._launcher = psutil.Process(self._child.pid)
        for name, target in (("output", self._read_messages), ("errors", self._read_errors)):
            threading.Thread(target=target, name=f"medai-worker-{name}", daemon=True).start()
        self.send({"type": "hello", "scratch": str(scratch.folder)})

    def send(self, message: dict[str, Any]) -> None:
        """Write one line.  A worker that is dead is noticed by :meth:`receive`, not here."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(message).encode("ascii") + b"\n")
            self._child.stdin.flush()
        except (OSError, ValueError):
            pass

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """Return the worker's next message, or None if there is none within ``timeout`` s.

        Raises
        ------
        WorkerError
            If the worker has ended or broke the protocol.
        """
        try:
            message = self._messages.get(timeout=timeout)
        except queue.Empty:
            # Its own children can keep the pipe open after its death, so look at the process too.
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOOK_SECONDS
                if not self.alive and self._messages.empty():
                    raise self._ended() from None
            return None
        if message is None:
            raise self._ended()
        if message["type"] == _MALFORMED:
            self.end()
            raise WorkerError("The worker wrote something that is not a message.", hint=_AGAIN)
        if message["type"] == "ready":
            self._greet(message)
        return message

    @property
    def pid(self) -> int:
        """Number of the process that runs the tasks (the launcher's until it is ready)."""
        return int((self._worker or self._launcher).pid)

    @property
    def alive(self) -> bool:
        """True while the process exists."""
        return is_alive(self._worker or self._launcher)

    def errors_tail(self) -> str:
        """Return why the worker failed as far as it told standard error, without paths and values.

        Before it is ready that is all it wrote.  Later only Python's own crash report counts: the rest was printed by
        tasks and libraries, and nobody vouches that it names no patient.
        """
        lines = list(self._tail)
        if self.ready:
            starts = [number for number, line in enumerate(lines) if line.startswith(_CRASH_REPORTS)]
            lines = lines[starts[-1] :] if starts else []
        return redact("\n".join(lines), keep_identifiers=not self.ready)

    def end(self) -> None:
        """End the process and everything it started, now."""
        end_tree(self._child, [self._worker] if self._worker else [])
        self._close_input()

    def close(self, timeout: float) -> None:
        """Let an idle worker end by itself; after ``timeout`` s, end it."""
        self.send({"type": "quit"})
        self._close_input()
        self._wait(timeout)
        self.end()

    def _greet(self, message: dict[str, Any]) -> None:
        import psutil

        if message.get("protocol") != PROTOCOL:
            raise WorkerError("The worker is of another version of MedAI.", hint="Install one version only.")
        try:
            worker = psutil.Process(message["pid"])
            ours = self._launcher in (worker, *worker.parents())
        except psutil.Error:
            raise self._ended() from None
        if not ours:  # it will be ended one day, so its number must not be taken on trust
            raise WorkerError("The worker named a process that is not ours.", hint=_AGAIN)
        self._worker = worker
        self.ready = True

    def _close_input(self) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.close()
        except OSError:
            pass  # what was not written yet has no reader any more

    def _wait(self, timeout: float) -> bool:
        """Return whether the child ends by itself; it stays unwaited for, so that its group can be ended."""
        end = time.monotonic() + timeout
        while is_alive(self._launcher):
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        return True

    def _read_messages(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as stream:
            while line := stream.readline(MAX_LINE):
                message = _parsed(line)
                self._messages.put(message)
                if message["type"] == _MALFORMED:
                    return
        self._messages.put(None)

    def _read_errors(self) -> None:
        assert self._child.stderr is not None
        with self._child.stderr as stream:
            while line := stream.readline(MAX_LINE):
                self._tail.append(line[:500].decode("utf-8", errors="replace").rstrip())

    def _ended(self) -> WorkerError:
        by_itself = self._wait(_LAST_BREATH_SECONDS)
        self.end()
        if not self.ready:
            return WorkerError(
                "The worker process did not start.", hint="See the log; is MedAI installed for this interpreter?"
            )
        why = _why(self._child.returncode if by_itself else None)
        return WorkerError(f"The worker process {why}.", hint=f"{_MEMORY if why == _KILLED else ''}{_AGAIN}")


def _why(code: int | None) -> str:
    """Say what an exit status means.  Launchers pass a signal on as 128 + its number."""
    number = -code if code is not None and code < 0 else (code or 0) - 128
    if sys.platform == "win32" or not 0 < number < 65:
        return "ended unexpectedly" + (f" (exit status {code})" if code is not None else "")
    if number == 9:
        return _KILLED
    try:
        return f"crashed ({signal.Signals(number).name})"
    except ValueError:
        return f"crashed (signal {number})"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        message = None
    if isinstance(message, dict) and isinstance(message.get("type"), str):
        fields = _FIELDS.get(message["type"])
        if fields and all(isinstance(message.get(name), kind) for name, kind in fields.items()):
            return message
    return {"type": _MALFORMED}
