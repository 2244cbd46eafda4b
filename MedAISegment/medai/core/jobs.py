"""Long work: submit a task, drain its events, take its result.

>>> from medai.core.jobs import InlineRunner
>>> InlineRunner().submit("medai.core.selftest:echo", {"x": 1}, {}).result()["x"]
1

In a panel, use one :class:`WorkerRunner` for as long as the panel lives: its process stays warm, so libraries and
models are loaded once.  A timer calls :meth:`Job.events`, and :meth:`Job.result` once :attr:`Job.done` is true.
"""

from .inline_runner import InlineRunner
from .job import Event, Job, Runner
from .worker_runner import WorkerRunner

__all__ = ["Event", "InlineRunner", "Job", "Runner", "WorkerRunner"]
