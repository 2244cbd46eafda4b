"""What the worker process costs: start, a warm call, a large volume, a cancel.

Run ``python Testing/performance/bench_jobs.py`` on an idle machine; it prints the best and the median of each and exits
with 1 if a best one is over its budget.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from medai.core.errors import Cancelled
from medai.core.geometry import Geometry
from medai.core.jobs import WorkerRunner
from medai.core.volume import Volume

SELFTEST = "medai.core.selftest:"
VOLUME = Volume(np.zeros((256, 256, 256), np.int16) + 7, Geometry.from_spacing((256, 256, 256)))


def start() -> float:
    """Return the seconds to start a worker, run a task and close."""
    begin = time.perf_counter()
    with WorkerRunner() as runner:
        runner.submit(SELFTEST + "info", {}, {}).result(60)
    return time.perf_counter() - begin


def call(runner: WorkerRunner, task: str, inputs: dict[str, Volume]) -> float:
    """Return the seconds from submit to the result."""
    begin = time.perf_counter()
    runner.submit(SELFTEST + task, inputs, {}).result(60)
    return time.perf_counter() - begin


def cancel(runner: WorkerRunner, polite: bool) -> float:
    """Return the seconds from cancel to the end of the job."""
    job = runner.submit(SELFTEST + "sleep", {}, {"seconds": 60, "polite": polite})
    while not any(event.message == "Sleeping" for event in job.events()):
        time.sleep(0.005)
    begin = time.perf_counter()
    job.cancel()
    try:
        job.result(60)
    except Cancelled:
        pass
    return time.perf_counter() - begin


def main() -> int:
    """Print the table; return the exit status."""
    with WorkerRunner() as runner:
        runner.submit(SELFTEST + "info", {}, {}).result(60)
        measures: list[tuple[str, float, Callable[[], float]]] = [
            ("start, run, close", 0.5, start),
            ("warm call", 0.02, lambda: call(runner, "info", {})),
            ("256^3 int16 in", 0.05, lambda: call(runner, "info", {"v": VOLUME})),
            ("256^3 int16 there and back", 0.1, lambda: call(runner, "echo", {"v": VOLUME})),
            ("cancel, task listens", 0.5, lambda: cancel(runner, True)),
            ("cancel, native code", 2.0, lambda: cancel(runner, False)),
        ]
        late = False
        for name, budget, measure in measures:
            seconds = [measure() for _ in range(5)]
            late |= min(seconds) > budget
            print(
                f"{name:28} best {min(seconds):.3f} s, median {statistics.median(seconds):.3f} s, budget {budget:g} s"
            )
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
