"""The worker process: ``python -m medai.core.worker``.

It reads JSON lines from standard input and writes JSON lines to standard output; whatever the tasks print goes to
standard error.  It stays alive between jobs, so what a task's module keeps in memory (libraries, models) is still there
for the next one.  It ends when standard input ends, which is also what happens when its owner dies.

==================  ==========================================================================================
Line in             Meaning
==================  ==========================================================================================
``hello``           ``scratch``: the owner's private folder; answered by ``ready`` (``protocol``, ``pid``)
``run``             ``job``: number; ``folder``: holds ``request.json`` (task, inputs, settings) and its arrays
``cancel``          ``job``: number
``quit``            end; the owner removes its folder itself
==================  ==========================================================================================

Lines out, each with the job's number: ``progress`` (``fraction``, ``message``), ``log`` (``level``, ``message``), and
one of ``result`` (the folder then holds ``result.json``), ``error`` (``error``) and ``cancelled``.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from .errors import Cancelled, MedAIError
from .progress import CancelToken

PROTOCOL = 1
REQUEST = "request.json"
RESULT = "result.json"

_PROGRESS_SECONDS = 0.05
_GRACE_SECONDS = 1.0


class Worker:
    """The two ends of the protocol and the jobs between them.

    Parameters
    ----------
    source, sink : binary streams
        Where lines come from and go to.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._sink_lock = threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[int, Path] | None] = queue.SimpleQueue()
        self._tokens: dict[int, CancelToken] = {}
        self._scratch: Path | None = None

    def run(self) -> None:
        """Serve until the input ends, then end the process."""
        threading.Thread(target=self._read, name="medai-worker-input", daemon=True).start()
        while (item := self._jobs.get()) is not None:
            job, folder = item
            last = self._serve(job, folder)
            del self._tokens[job]
            self.send(last)
        self._leave()

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; if nobody reads any more, end the process."""
        data = json.dumps(message).encode("ascii") + b"\n"
        try:
            with self._sink_lock:
                self._sink.write(data)
                self._sink.flush()
        except OSError:
            self._leave()

    def _read(self) -> None:
        try:
            for line in self._source:
                self._obey(json.loads(line))
        finally:
            for token in list(self._tokens.values()):
                token.cancel()
            self._jobs.put(None)
            time.sleep(_GRACE_SECONDS)
            self._leave()  # the job did not listen

    def _obey(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "hello":
            self._scratch = Path(message["scratch"])
            self.send({"type": "ready", "protocol": PROTOCOL, "pid": os.getpid()})
        elif kind == "run":
            self._tokens[message["job"]] = CancelToken()
            self._jobs.put((message["job"], Path(message["folder"])))
        elif kind == "quit":
            self._scratch = None
        elif kind == "cancel":
            token = self._tokens.get(message["job"])
            if token is not None:  # else the job is done already
                token.cancel()

    def _serve(self, job: int, folder: Path) -> dict[str, Any]:
        from .redact import traceback_text
        from .task import translated

        try:
            self._execute(job, folder)
            return {"type": "result", "job": job}
        except Cancelled:
            return {"type": "cancelled", "job": job}
        except BaseException as error:
            failure = translated(error, "the task")
            cause = error.__cause__ if isinstance(error, MedAIError) else error
            if cause is not None:
                self.send({"type": "log", "job": job, "level": "error", "message": traceback_text(cause)})
            return {"type": "error", "job": job, "error": failure.to_dict()}

    def _execute(self, job: int, folder: Path) -> None:
        # The arrays are local to this function: when the owner hears of the result, no file is mapped any more.
        from . import atomic, codec
        from .log_capture import LogCapture
        from .task import run_task

        if self._scratch is not None:
            atomic.set_journal(self._scratch / "journal")
        token = self._tokens[job]
        request = json.loads((folder / REQUEST).read_bytes())
        progress = _Progress(self, job)
        try:
            with LogCapture(
                lambda level, text: self.send({"type": "log", "job": job, "level": level, "message": text})
            ):
                outputs = run_task(
                    request["task"], codec.decode(request["inputs"], folder), request["settings"],
                    progress=progress, cancel=token,
                )  # fmt: skip
        finally:
            progress.close()
        encoded = codec.encode(outputs, folder, prefix="outputs", cancel=token)
        (folder / RESULT).write_text(json.dumps(encoded, allow_nan=False), encoding="ascii")

    def _leave(self) -> None:
        from .process_tree import end_descendants
        from .scratch import remove_if_abandoned

        # The watchdog needs no interpreter lock: native code that holds it cannot keep this process alive.
        faulthandler.dump_traceback_later(3 * _GRACE_SECONDS, exit=True, file=sys.__stderr__ or sys.stderr)
        end_descendants()
        end = time.monotonic() + _GRACE_SECONDS
        while self._scratch is not None and self._scratch.exists() and time.monotonic() < end:
            # The owner's lock is freed a moment after its pipes are closed.
            if remove_if_abandoned(self._scratch):
                break
            time.sleep(0.05)
        os._exit(0)


class _Progress:
    """The progress function that a task gets: at most about twenty lines a second, and the last word is never lost."""

    def __init__(self, worker: Worker, job: int) -> None:
        self._worker = worker
        self._job = job
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._waiting: tuple[float, str] | None = None
        self._timer: threading.Timer | None = None

    def __call__(self, fraction: float, message: str = "") -> None:
        if not math.isfinite(fraction):
            return
        with self._lock:
            self._waiting = min(max(float(fraction), 0.0), 1.0), str(message)[:1000]
            if time.monotonic() - self._last >= _PROGRESS_SECONDS:
                self._send()
            elif self._timer is None:
                self._timer = threading.Timer(_PROGRESS_SECONDS, self._send_late)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        with self._lock:
            self._send()

    def _send_late(self) -> None:
        with self._lock:
            self._timer = None
            self._send()

    def _send(self) -> None:
        if self._waiting is not None:
            share, message = self._waiting
            self._waiting, self._last = None, time.monotonic()
            self._worker.send({"type": "progress", "job": self._job, "fraction": share, "message": message})


def main() -> None:
    """Take standard input and output for the protocol, and serve."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    # Whatever prints from here on, Python or native code, must not get between the protocol's lines.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr
    faulthandler.enable()
    Worker(source, sink).run()


if __name__ == "__main__":
    main()
