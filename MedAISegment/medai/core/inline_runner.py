"""Running tasks in the calling thread: for the console, scripts and tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .codec import as_received
from .errors import Cancelled, MedAIError
from .job import Job
from .log_capture import LogCapture
from .progress import CancelToken, ProgressFn
from .redact import traceback_text
from .settings import plain_json
from .task import run_task


class InlineRunner:
    """A :class:`~medai.core.job.Runner` without a second process.

    Values are checked and given to the task as a worker would receive them (lists for tuples, read-only arrays), so
    what works here works there.
    """

    def submit(
        self,
        task: str,
        inputs: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        progress: ProgressFn | None = None,
        cancel: CancelToken | None = None,
    ) -> Job:
        """Run a task and return its job, which is done.

        Parameters
        ----------
        task, inputs, settings
            See :meth:`medai.core.job.Runner.submit`.
        progress : callable, optional
            Called as ``progress(fraction, message)`` while the task runs, besides the job's events.
        cancel : CancelToken, optional
            Stops the task, from another thread or from ``progress``.
        """
        job = Job(task, cancel)

        def report(fraction: float, message: str = "") -> None:
            job.report_progress(fraction, message)
            if progress is not None:
                progress(fraction, message)

        try:
            given = as_received(inputs, "inputs")
            values = plain_json(settings)
            with LogCapture(lambda level, text: job.report_log(text, level)):
                outputs = run_task(task, given, values, progress=report, cancel=job.token)
            job.succeed(as_received(outputs, "outputs"))
        except (MedAIError, Cancelled) as error:
            if error.__cause__ is not None:
                job.report_log(traceback_text(error.__cause__), "error")
            job.fail(error)
        return job

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def __enter__(self) -> InlineRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
