"""Running tasks in a warm process of their own."""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import codec
from .errors import Cancelled, MedAIError, WorkerError, error_from_dict
from .interpreter import find_python
from .job import Job
from .redact import traceback_text
from .scratch import Scratch, remove
from .settings import plain_json
from .task import translated
from .worker import REQUEST, RESULT
from .worker_process import WorkerProcess

ASK_SECONDS = 1.0
"""How long a cancelled task may take to stop by itself before its process is ended."""
START_SECONDS = 60.0
"""How long a worker may take to start."""
_POLL_SECONDS = 0.05
_CLOSE_SECONDS = 1.0


class WorkerRunner:
    """A :class:`~medai.core.job.Runner` with one worker process, which starts at the first task and then stays warm.

    One task runs at a time: :meth:`submit` refuses a second one.  A cancelled task is asked to stop; after
    :data:`ASK_SECONDS` its whole process tree is ended, and the next task gets a new process.  The same happens when
    the process dies: the job fails with a :class:`WorkerError`, and the next task starts a new one.

    The work is done on the job's own thread: :meth:`submit` and :meth:`Job.cancel` never wait.  Inputs are not copied
    before they are written, so do not change an array while its job runs.

    Parameters
    ----------
    python : str or Path, optional
        The interpreter; see :func:`~medai.core.interpreter.find_python` if not given.
    folder : str or Path, optional
        Where the private folder for exchanged arrays is made; the system's temporary folder if not given.
    """

    def __init__(self, python: str | Path | None = None, *, folder: str | Path | None = None) -> None:
        self._held = _Held(None if python is None else str(python), None if folder is None else Path(folder))
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self._number = 0
        weakref.finalize(self, self._held.release)

    def submit(self, task: str, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> Job:
        """Start a task; see :meth:`medai.core.job.Runner.submit`.

        Raises
        ------
        WorkerError
            If a task is running (code ``BUSY``), or the runner is closed.  Every other error comes from the job.
        """
        job = Job(task)
        with self._lock:
            if self._held.closed:
                raise WorkerError("This runner is closed.", hint="Make a new one.")
            if self._job is not None:
                raise WorkerError(
                    f"The worker is busy with {self._job.task}.",
                    hint="Wait until it is done, or cancel it.",
                    code="BUSY",
                )
            self._job = job
            self._number += 1
        try:
            request = codec.as_received(inputs, "inputs"), plain_json(settings)
        except MedAIError as error:
            self._finish(job, error)
            return job
        self._thread = threading.Thread(
            target=self._serve, args=(job, self._number, *request), name="medai-job", daemon=True
        )
        self._thread.start()
        return job

    @property
    def is_warm(self) -> bool:
        """True if a worker process is up, so that the next task need not wait for one."""
        worker = self._held.worker
        return worker is not None and worker.ready and worker.alive

    @property
    def pid(self) -> int | None:
        """Number of the worker process, None if there is none."""
        worker = self._held.worker
        return None if worker is None else worker.pid

    def close(self) -> None:
        """Cancel what runs, end the worker and remove the private folder.  A closed runner takes no more tasks."""
        with self._lock:
            self._held.closed = True
            job, thread = self._job, self._thread
        if job is not None:
            job.cancel()
        if thread is not None and thread is not threading.current_thread():
            thread.join(ASK_SECONDS + _CLOSE_SECONDS)
        self._held.release()

    def __enter__(self) -> WorkerRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, job: Job, number: int, inputs: Any, settings: Any) -> None:
        outcome: dict[str, Any] | MedAIError | Cancelled
        try:
            outcome = self._run(job, number, inputs, settings)
        except (MedAIError, Cancelled) as error:
            outcome = error
        except Exception as error:
            job.report_log(traceback_text(error), "error")
            outcome = translated(error, job.task)
        self._finish(job, outcome)

    def _finish(self, job: Job, outcome: dict[str, Any] | MedAIError | Cancelled) -> None:
        with self._lock:
            self._job = None  # first, so that whoever sees the job done can submit the next
        if isinstance(outcome, dict):
            job.succeed(outcome)
        else:
            job.fail(outcome)

    def _run(self, job: Job, number: int, inputs: Any, settings: Any) -> dict[str, Any]:
        folder = self._held.new_folder()
        try:
            worker = self._held.start(job)  # it starts up while the arrays are written
            values = codec.encode(inputs, folder, cancel=job.token)
            request = json.dumps({"task": job.task, "inputs": values, "settings": settings}, allow_nan=False)
            (folder / REQUEST).write_text(request, encoding="ascii")
            self._await_ready(worker, job)
            worker.send({"type": "run", "job": number, "folder": str(folder)})
            self._await_result(worker, job, number)
            result = json.loads((folder / RESULT).read_bytes())
            outputs: dict[str, Any] = codec.decode(result, folder, copy=True)
            job.token.check()
            return outputs
        finally:
            remove(folder)

    def _await_ready(self, worker: WorkerProcess, job: Job) -> None:
        end = time.monotonic() + START_SECONDS
        while not worker.ready:
            job.token.check()  # the worker goes on starting, for the next task
            self._receive(worker, job)
            if time.monotonic() > end:
                self._held.drop()
                raise WorkerError(f"The worker process did not start within {START_SECONDS:g} s.", hint="Try again.")

    def _await_result(self, worker: WorkerProcess, job: Job, number: int) -> None:
        asked: float | None = None
        while True:
            if job.token.cancelled and asked is None:
                asked = time.monotonic()
                worker.send({"type": "cancel", "job": number})
            message = self._receive(worker, job)
            if asked is not None and time.monotonic() - asked > ASK_SECONDS:
                self._held.drop()
                raise Cancelled
            if message is None or message.get("job") != number:
                continue
            if message["type"] == "progress":
                job.report_progress(message["fraction"], message["message"])
            elif message["type"] == "log":
                job.report_log(message["message"], message["level"])
            else:
                job.token.check()
                if message["type"] == "error":
                    raise error_from_dict(message["error"])
                if message["type"] == "cancelled":
                    raise Cancelled
                return

    def _receive(self, worker: WorkerProcess, job: Job) -> dict[str, Any] | None:
        try:
            return worker.receive(_POLL_SECONDS)
        except WorkerError:
            self._held.drop()
            if tail := worker.errors_tail():
                job.report_log(f"The worker's last words:\n{tail}", "error")
            job.token.check()
            raise


class _Held:
    """What must be released when the runner goes: the process and the folder.  It outlives the runner by that much."""

    def __init__(self, python: str | None, folder: Path | None) -> None:
        self.worker: WorkerProcess | None = None
        self.closed = False
        self._python = python
        self._root = folder
        self._scratch: Scratch | None = None
        self._owner = os.getpid()
        self._lock = threading.RLock()

    def new_folder(self) -> Path:
        return self._open().new_folder()

    def start(self, job: Job) -> WorkerProcess:
        with self._lock:
            scratch = self._open()
            if self.worker is not None and not self.worker.alive:
                self.drop()
            if self.worker is None:
                job.report_progress(0.0, "Starting the worker")
                self.worker = WorkerProcess(self._python or find_python(), scratch)
            return self.worker

    def drop(self) -> None:
        with self._lock:
            if self.worker is not None:
                self.worker.end()
                self.worker = None
            if self._scratch is not None:
                self._scratch.clear()

    def release(self) -> None:
        if os.getpid() != self._owner:
            return  # a forked copy owns nothing
        with self._lock:
            self.closed = True
            if self.worker is not None:
                self.worker.close(_CLOSE_SECONDS)
                self.worker = None
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None

    def _open(self) -> Scratch:
        with self._lock:
            if self.closed:
                raise Cancelled
            if self._scratch is None:
                self._scratch = Scratch(self._root)
            return self._scratch
