"""medai.core.job."""

from __future__ import annotations

import doctest
import math
import threading
import time

import pytest

from medai.core import jobs
from medai.core.errors import Cancelled, InputError
from medai.core.job import MAX_QUEUED_EVENTS, Job


def test_events_are_handed_out_once_and_in_order() -> None:
    job = Job("t")
    job.report_progress(0.5, "half")
    job.report_log("hello", "warning")
    assert [(e.kind, e.fraction, e.message, dict(e.data)) for e in job.events()] == [
        ("progress", 0.5, "half", {}),
        ("log", 0.5, "hello", {"level": "warning"}),
    ]
    assert job.events() == []
    outputs = {"x": 1}
    job.succeed(outputs)
    (last,) = job.events()
    assert (last.kind, last.fraction, last.data) == ("result", 1.0, outputs)


def test_an_error_is_an_event_and_is_raised() -> None:
    job = Job("t")
    assert not job.done
    job.fail(InputError("It is empty.", hint="Choose another."))
    assert job.done
    (last,) = job.events()
    assert (last.kind, last.message) == ("error", "It is empty. Choose another.")
    assert last.data["type"] == "InputError"
    for _ in range(2):
        with pytest.raises(InputError, match="It is empty"):
            job.result()


def test_cancelled_is_an_event_and_is_raised() -> None:
    job = Job("t")
    job.cancel()
    assert job.token.cancelled
    assert not job.done  # asked, not stopped yet
    job.fail(Cancelled())
    assert [event.kind for event in job.events()] == ["cancelled"]
    with pytest.raises(Cancelled):
        job.result()


def test_result_waits_no_longer_than_asked() -> None:
    job = Job("t")
    for timeout in (0, 0.05, 0.3):
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="t is not done"):
            job.result(timeout)
        assert timeout <= time.monotonic() - start < timeout + 1.0
    threading.Timer(0.1, job.succeed, [{"x": 1}]).start()
    assert job.result(10) == {"x": 1}


@pytest.mark.parametrize(("given", "kept"), [(-1, 0.0), (0.25, 0.25), (7, 1.0)])
def test_progress_is_kept_between_zero_and_one(given: float, kept: float) -> None:
    job = Job("t")
    job.report_progress(given)
    assert job.events()[0].fraction == kept


def test_progress_that_is_no_number_is_dropped() -> None:
    job = Job("t")
    job.report_progress(math.nan)
    assert job.events() == []


def test_a_job_that_nobody_watches_does_not_grow_for_ever() -> None:
    job = Job("t")
    for number in range(MAX_QUEUED_EVENTS + 10):
        job.report_log(str(number))
    job.succeed({})
    events = job.events()
    assert len(events) == MAX_QUEUED_EVENTS
    assert events[-1].kind == "result"


def test_the_example_in_the_documentation_works() -> None:
    result = doctest.testmod(jobs)
    assert result.attempted == 2
    assert result.failed == 0
