"""medai.core.inline_runner: the same as a worker, without one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, MedAIError, OutOfMemory, SettingsError
from medai.core.inline_runner import InlineRunner
from medai.core.progress import CancelToken

SELFTEST = "medai.core.selftest:"


def test_the_job_is_done_when_submit_returns() -> None:
    with InlineRunner() as runner:
        job = runner.submit(SELFTEST + "info", {}, {})
    assert job.done
    assert job.result()["pid"] == os.getpid()
    assert [event.kind for event in job.events()] == ["result"]


def test_a_task_gets_what_it_would_get_in_a_worker() -> None:
    array = np.zeros(3)
    result = InlineRunner().submit(SELFTEST + "echo", {"a": array, "t": (1, np.float32(2))}, {"s": (1, 2)}).result()
    assert np.shares_memory(result["a"], array)
    assert not result["a"].flags.writeable
    assert result["t"] == [1, 2.0]
    assert result["settings"] == {"s": [1, 2]}


def test_progress_goes_to_the_callback_and_the_events() -> None:
    seen: list[tuple[float, str]] = []
    job = InlineRunner().submit(
        SELFTEST + "sleep", {}, {"seconds": 0.1}, progress=lambda fraction, message: seen.append((fraction, message))
    )
    assert len(seen) > 2
    assert [(e.fraction, e.message) for e in job.events() if e.kind == "progress"] == seen


def test_cancel_from_the_progress_callback() -> None:
    token = CancelToken()
    job = InlineRunner().submit(
        SELFTEST + "sleep", {}, {"seconds": 60}, progress=lambda fraction, message: token.cancel(), cancel=token
    )
    assert job.events()[-1].kind == "cancelled"
    with pytest.raises(Cancelled):
        job.result()


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [("exception", MedAIError, "INTERNAL"), ("memory", OutOfMemory, "OUT_OF_MEMORY"), ("exit", MedAIError, "INTERNAL")],
)
def test_a_failing_task_is_the_jobs_error(how: str, kind: type[MedAIError], code: str) -> None:
    job = InlineRunner().submit(SELFTEST + "crash", {}, {"how": how})
    with pytest.raises(MedAIError) as caught:
        job.result()
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert [event.kind for event in job.events()] == ["log", "error"]


@pytest.mark.parametrize(
    ("task", "inputs", "settings", "kind"),
    [
        ("os:system", {}, {}, SettingsError),
        (SELFTEST + "crash", {}, {"how": "x"}, SettingsError),
        (SELFTEST + "echo", {"x": object()}, {}, InputError),
        (SELFTEST + "echo", {}, {"x": float("inf")}, SettingsError),
        (SELFTEST + "echo", [1], {}, MedAIError),
    ],
)
def test_bad_values_are_the_jobs_error(task: str, inputs: Any, settings: Any, kind: type[MedAIError]) -> None:
    job = InlineRunner().submit(task, inputs, settings)
    with pytest.raises(kind):
        job.result()


def test_outputs_that_a_worker_could_not_send_are_refused_here_too(probe: Callable[[str], str]) -> None:
    with pytest.raises(InputError, match=r"outputs\.x"):
        InlineRunner().submit(probe("unsendable"), {}, {}).result()


def test_log_lines_become_events(probe: Callable[[str], str]) -> None:
    job = InlineRunner().submit(probe("log"), {}, {})
    assert [event.message for event in job.events() if event.kind == "log"] == ["a doubtful thing"]
