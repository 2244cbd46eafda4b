"""medai.core.worker_runner: rows 45 and 46 of the bad inputs, and the warm process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from medai.core import codec
from medai.core.errors import Cancelled, InputError, MedAIError, OutOfMemory, SettingsError, WorkerError
from medai.core.geometry import Geometry
from medai.core.job import Event, Job
from medai.core.jobs import WorkerRunner
from medai.core.scratch import PREFIX
from medai.core.volume import Volume

SELFTEST = "medai.core.selftest:"
LIMIT = 30.0
posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where :func:`runner` keeps its files."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def runner(place: Path, probe: Callable[[str], str]) -> Iterator[WorkerRunner]:
    """One runner for all tests that leave it usable, which is a test in itself."""
    with WorkerRunner(folder=place) as made:
        yield made
    assert list(place.iterdir()) == []


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A place for a runner of one's own."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def drain(job: Job, until: Callable[[Event], bool] = lambda event: False) -> list[Event]:
    """Collect events as a panel's timer does, until one fits or the job is done."""
    events: list[Event] = []
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done = job.done
        new = job.events()
        events += new
        if done or any(map(until, new)):
            return events
        time.sleep(0.01)
    pytest.fail("the job neither ended nor said what was waited for")


def left_over(place: Path) -> list[str]:
    """Everything in the private folder that belongs to a job."""
    found = [path for path in place.rglob("*") if path.name not in ("lock", "t", "journal")]
    return [str(path.relative_to(place)) for path in found if not path.name.startswith(PREFIX)]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pids: list[int], seconds: float = 2.0) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, pids))


def volume() -> Volume:
    array = np.random.default_rng(0).integers(-1000, 1000, (20, 30, 40), np.int16)
    return Volume(array, Geometry.from_spacing(array.shape))


def test_values_go_there_and_back(runner: WorkerRunner, place: Path) -> None:
    image = volume()
    result = runner.submit(SELFTEST + "echo", {"v": image, "n": (1, None)}, {"a": (1, 2)}).result(LIMIT)
    assert result["v"].digest() == image.digest()
    assert result["n"] == [1, None]
    assert result["settings"] == {"a": [1, 2]}
    assert left_over(place) == []


def test_the_process_and_what_it_loaded_stay(probe: Callable[[str], str], empty: Path) -> None:
    with WorkerRunner(folder=empty) as runner:
        assert not runner.is_warm
        assert runner.pid is None
        first = runner.submit(probe("remember"), {}, {"value": 1}).result(LIMIT)
        assert runner.is_warm
        second = runner.submit(probe("remember"), {}, {"value": 2}).result(LIMIT)
        assert second == {"pid": first["pid"], "loaded": [1, 2]}
        assert runner.pid == first["pid"] != os.getpid()
        assert left_over(empty) == []
    assert list(empty.iterdir()) == []


def test_the_last_event_is_the_result(runner: WorkerRunner) -> None:
    events = drain(runner.submit(SELFTEST + "sleep", {}, {"seconds": 0.3}))
    assert events[-1].kind == "result"
    assert [event.kind for event in events[:-1]] == ["progress"] * (len(events) - 1)
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert len(fractions) > 3


def test_submit_and_cancel_never_wait(runner: WorkerRunner) -> None:
    start = time.monotonic()
    job = runner.submit(SELFTEST + "sleep", {"v": np.zeros(20_000_000)}, {"seconds": 60})
    job.events()
    job.cancel()
    assert time.monotonic() - start < 0.2
    with pytest.raises(Cancelled):
        job.result(LIMIT)


def test_a_second_task_is_refused_while_one_runs(runner: WorkerRunner) -> None:
    job = runner.submit(SELFTEST + "sleep", {}, {"seconds": 60})
    with pytest.raises(WorkerError, match=r"busy with medai\.core\.selftest:sleep") as caught:
        runner.submit(SELFTEST + "echo", {}, {})
    assert caught.value.code == "BUSY"
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(LIMIT)
    assert runner.submit(SELFTEST + "echo", {"x": 1}, {}).result(LIMIT)["x"] == 1


# --- Cancel, in every phase: at most two seconds, nothing left, and the next run works (row 46) ---


def cancelled_within(job: Job, seconds: float) -> None:
    start = time.monotonic()
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(LIMIT)
    assert time.monotonic() - start < seconds
    assert job.done
    assert job.events()[-1].kind == "cancelled"


def next_run_works(runner: WorkerRunner, place: Path) -> None:
    assert left_over(place) == []
    assert runner.submit(SELFTEST + "echo", {"x": 1}, {}).result(LIMIT)["x"] == 1


def test_cancel_while_the_worker_starts(empty: Path) -> None:
    with WorkerRunner(folder=empty) as runner:
        cancelled_within(runner.submit(SELFTEST + "sleep", {}, {"seconds": 60}), 2.0)
        next_run_works(runner, empty)


def test_cancel_while_the_inputs_are_written(
    runner: WorkerRunner, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "CHUNK_BYTES", 64)  # minutes of writing
    job = runner.submit(SELFTEST + "echo", {"v": np.zeros(200_000_000, np.uint8)}, {})
    while not any(path.suffix == ".npy" for path in place.rglob("*")):
        assert not job.done
        time.sleep(0.01)
    cancelled_within(job, 2.0)
    monkeypatch.undo()
    next_run_works(runner, place)


def test_cancel_of_a_task_that_listens_keeps_the_process(runner: WorkerRunner, place: Path) -> None:
    job = runner.submit(SELFTEST + "sleep", {}, {"seconds": 60})
    drain(job, lambda event: event.message == "Sleeping")
    pid = runner.pid
    cancelled_within(job, 0.7)
    next_run_works(runner, place)
    assert runner.pid == pid


def test_cancel_of_native_code_ends_the_process(runner: WorkerRunner, place: Path) -> None:
    job = runner.submit(SELFTEST + "sleep", {"v": volume()}, {"seconds": 60, "polite": False})
    drain(job, lambda event: event.message == "Sleeping")
    pid = runner.pid
    assert pid is not None
    cancelled_within(job, 2.0)
    assert not alive(pid)
    assert not runner.is_warm
    next_run_works(runner, place)
    assert runner.pid != pid


@posix
def test_cancel_of_a_stopped_process(runner: WorkerRunner, place: Path) -> None:
    """A process that cannot react at all, as one that swaps."""
    runner.submit(SELFTEST + "info", {}, {}).result(LIMIT)
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGSTOP)
    job = runner.submit(SELFTEST + "echo", {"v": volume()}, {})
    time.sleep(0.1)
    cancelled_within(job, 2.0)
    next_run_works(runner, place)


def test_cancel_while_the_result_is_written(runner: WorkerRunner, place: Path, probe: Callable[[str], str]) -> None:
    job = runner.submit(probe("large"), {}, {"bytes": 2_000_000_000})
    drain(job, lambda event: event.message == "writing")
    cancelled_within(job, 2.0)
    next_run_works(runner, place)


def test_cancel_after_the_end_changes_nothing(runner: WorkerRunner) -> None:
    job = runner.submit(SELFTEST + "echo", {"x": 1}, {})
    job.result(LIMIT)
    job.cancel()
    assert job.result()["x"] == 1
    assert job.events()[-1].kind == "result"


@posix
def test_cancel_ends_the_whole_family_and_removes_its_files(
    runner: WorkerRunner, place: Path, probe: Callable[[str], str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.txt").write_text("old")
    job = runner.submit(probe("family"), {}, {"folder": str(out)})
    drain(job, lambda event: event.message == "hanging")
    pids = [int(pid) for pid in (out / "pids").read_text().split()]
    assert len(pids) == 4
    assert all(map(alive, pids))
    assert len(list(out.iterdir())) == 3
    cancelled_within(job, 2.0)
    assert gone(pids)
    assert sorted(path.name for path in out.iterdir()) == ["pids", "result.txt"]
    assert (out / "result.txt").read_text() == "old"
    assert [list(path.iterdir()) for path in place.glob("*/t")] == [[]]
    next_run_works(runner, place)


# --- The process dies (row 45) ---


@posix
@pytest.mark.parametrize("task", ["sleep", "polite"])
def test_a_killed_worker_is_an_error_at_once_and_the_next_run_works(
    runner: WorkerRunner, place: Path, task: str
) -> None:
    image = volume()
    before = image.digest()
    job = runner.submit(SELFTEST + "sleep", {"v": image}, {"seconds": 60, "polite": task == "polite"})
    drain(job, lambda event: event.message == "Sleeping")
    pid = runner.pid
    assert pid is not None
    start = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="killed, probably by the operating system because the memory ran out"):
        job.result(LIMIT)
    assert time.monotonic() - start < 1.0
    assert job.events()[-1].kind == "error"
    assert image.digest() == before
    next_run_works(runner, place)
    assert runner.pid != pid


@posix
def test_a_worker_killed_between_two_runs_is_replaced(runner: WorkerRunner, place: Path) -> None:
    runner.submit(SELFTEST + "info", {}, {}).result(LIMIT)
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGKILL)
    assert gone([runner.pid])
    assert not runner.is_warm
    next_run_works(runner, place)


@posix
def test_a_child_that_keeps_the_pipes_open_hides_no_death(
    runner: WorkerRunner, place: Path, probe: Callable[[str], str], tmp_path: Path
) -> None:
    start = time.monotonic()
    with pytest.raises(WorkerError, match="killed"):
        runner.submit(probe("orphan"), {}, {"folder": str(tmp_path)}).result(LIMIT)
    assert time.monotonic() - start < 4.0
    assert gone([int((tmp_path / "pids").read_text())])
    next_run_works(runner, place)


@posix
def test_a_killed_worker_leaves_no_half_made_file(
    runner: WorkerRunner, place: Path, probe: Callable[[str], str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    job = runner.submit(probe("family"), {}, {"folder": str(out)})
    drain(job, lambda event: event.message == "hanging")
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGKILL)
    with pytest.raises(WorkerError):
        job.result(LIMIT)
    assert [path.name for path in out.iterdir()] == ["pids"]
    assert gone([int(pid) for pid in (out / "pids").read_text().split()])
    next_run_works(runner, place)


@posix
def test_a_native_crash_is_named_and_its_report_is_in_the_log(runner: WorkerRunner, place: Path) -> None:
    job = runner.submit(SELFTEST + "crash", {}, {"how": "native"})
    with pytest.raises(WorkerError, match=r"crashed \(SIGABRT\)"):
        job.result(LIMIT)
    logs = [event.message for event in job.events() if event.kind == "log"]
    assert any("Fatal Python error: Aborted" in text and "in crash" in text for text in logs)
    assert not any("/" in text for text in logs)
    next_run_works(runner, place)


# --- Errors of tasks ---


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [("exception", MedAIError, "INTERNAL"), ("memory", OutOfMemory, "OUT_OF_MEMORY"), ("exit", MedAIError, "INTERNAL")],
)
def test_a_failing_task_gives_a_typed_error_and_keeps_the_process(
    runner: WorkerRunner, place: Path, how: str, kind: type[MedAIError], code: str
) -> None:
    job = runner.submit(SELFTEST + "crash", {}, {"how": how})
    with pytest.raises(MedAIError) as caught:
        job.result(LIMIT)
    assert type(caught.value) is kind
    assert caught.value.code == code
    events = job.events()
    assert events[-1].data == caught.value.to_dict()
    assert any(event.kind == "log" and "Traceback" in event.message for event in events)
    pid = runner.pid
    next_run_works(runner, place)
    assert runner.pid == pid


def test_a_real_allocation_that_fails_is_out_of_memory(runner: WorkerRunner, probe: Callable[[str], str]) -> None:
    with pytest.raises(OutOfMemory):
        runner.submit(probe("hungry"), {}, {}).result(LIMIT)


def test_typed_errors_cross_with_their_text(runner: WorkerRunner) -> None:
    with pytest.raises(SettingsError, match=r"CrashSettings\.how: input should be") as caught:
        runner.submit(SELFTEST + "crash", {}, {"how": "x"}).result(LIMIT)
    assert caught.value.hint == "Correct the named keys."


def test_no_patient_data_in_messages_or_logs(runner: WorkerRunner, probe: Callable[[str], str]) -> None:
    job = runner.submit(probe("patient"), {}, {})
    with pytest.raises(MedAIError, match=r"An unexpected error \(FileNotFoundError\) stopped"):
        job.result(LIMIT)
    text = " ".join(f"{event.message} {dict(event.data)}" for event in job.events())
    assert "Traceback" in text
    own_source_line = 'open("/data/SECRET^JOHN/1.dcm")'
    assert "SECRET" not in text.replace(own_source_line, "")


@pytest.mark.parametrize(
    ("inputs", "settings", "kind", "words"),
    [
        ({"x": object()}, {}, InputError, r"inputs\.x: a value of type object"),
        ({}, {"x": float("nan")}, SettingsError, r"settings\.x: the value nan"),
        ({}, {"x": object()}, SettingsError, r"settings\.x: a value of type object"),
    ],
)
def test_values_that_cannot_be_sent_are_the_jobs_error(
    runner: WorkerRunner, inputs: Any, settings: Any, kind: type[MedAIError], words: str
) -> None:
    job = runner.submit(SELFTEST + "echo", inputs, settings)
    assert job.done
    with pytest.raises(kind, match=words):
        job.result()
    assert runner.submit(SELFTEST + "echo", {}, {}).result(LIMIT) == {"settings": {}}


def test_outputs_that_cannot_be_sent_are_an_error(runner: WorkerRunner, probe: Callable[[str], str]) -> None:
    with pytest.raises(InputError, match=r"outputs\.x: a value of type object"):
        runner.submit(probe("unsendable"), {}, {}).result(LIMIT)


@pytest.mark.parametrize("task", ["os:system", "medai.core.missing:x", "medai.core.atomic:ensure_folder"])
def test_only_tasks_can_be_named(runner: WorkerRunner, task: str) -> None:
    with pytest.raises(SettingsError):
        runner.submit(task, {}, {}).result(LIMIT)


# --- The protocol ---


def test_what_tasks_print_does_not_get_between_the_lines(runner: WorkerRunner, probe: Callable[[str], str]) -> None:
    job = runner.submit(probe("noise"), {}, {})
    assert job.result(LIMIT) == {"read": ""}
    assert "SECRET" not in "".join(event.message for event in job.events())
    assert runner.is_warm


def test_progress_is_thinned_out(runner: WorkerRunner, probe: Callable[[str], str]) -> None:
    job = runner.submit(probe("chatter"), {}, {})
    job.result(LIMIT)
    progress = [event for event in job.events() if event.kind == "progress"]
    assert len(progress) < 200
    assert (progress[-1].fraction, progress[-1].message) == (1.0, "end")


def test_the_last_word_before_a_long_silence_arrives(runner: WorkerRunner, probe: Callable[[str], str]) -> None:
    job = runner.submit(probe("two_words"), {}, {})
    start = time.monotonic()
    assert drain(job, lambda event: event.message == "second")[-1].fraction == 0.2
    assert time.monotonic() - start < 10.0
    cancelled_within(job, 2.0)


def test_log_lines_arrive(runner: WorkerRunner, probe: Callable[[str], str]) -> None:
    job = runner.submit(probe("log"), {}, {})
    job.result(LIMIT)
    assert [(e.message, e.data["level"]) for e in job.events() if e.kind == "log"] == [("a doubtful thing", "warning")]


def test_the_child_finds_what_only_sys_path_knows_and_has_its_own_temporary_folder(
    runner: WorkerRunner, probe: Callable[[str], str], place: Path
) -> None:
    found = runner.submit(probe("environment"), {}, {}).result(LIMIT)
    assert sys.path[0] in found["path"]
    assert (Path(sys.path[0]) / "medai" / "probe").is_dir()
    assert Path(found["temporary"]).is_relative_to(place)
    if sys.version_info >= (3, 11):
        assert "" not in found["path"]
        assert os.getcwd() not in found["path"]


# --- Start and end ---


@posix
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Welcome to this computer'", "something that is not a message"),
        ("echo '{}'", "something that is not a message"),
        ("echo '[1]'", "something that is not a message"),
        ("""echo '{"type": "progress", "job": "1"}'""", "something that is not a message"),
        ("""echo '{"type": "unknown"}'""", "something that is not a message"),
        ("""printf '{"type": "ready"'""", "something that is not a message"),
        ("head -c 3000000 /dev/zero", "something that is not a message"),
        ("""echo '{"type": "ready", "protocol": 99, "pid": 1}'; sleep 60""", "another version"),
        ("""echo '{"type": "ready", "protocol": 1, "pid": 99999999}'; sleep 60""", "did not start"),
        ("""echo '{"type": "ready", "protocol": 1, "pid": 1}'; sleep 60""", "a process that is not ours"),
        ("exit 3", "did not start"),
        ("echo 'ModuleNotFoundError: No module named medai' >&2; exit 1", "did not start"),
    ],
    ids=range(12),
)
def test_a_worker_that_does_not_speak_the_protocol_is_ended(
    empty: Path, tmp_path: Path, script: str, words: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with WorkerRunner(python, folder=empty) as runner:
        job = runner.submit(SELFTEST + "echo", {}, {})
        with pytest.raises(WorkerError, match=words):
            job.result(LIMIT)
        assert runner.pid is None
        if "ModuleNotFoundError" in script:
            assert any("No module named medai" in e.message for e in job.events() if e.kind == "log")
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("python", ["no-such-interpreter", "."])
def test_an_interpreter_that_cannot_be_started(empty: Path, python: str) -> None:
    with (
        WorkerRunner(python, folder=empty) as runner,
        pytest.raises(WorkerError, match="cannot be started"),
    ):
        runner.submit(SELFTEST + "echo", {}, {}).result(LIMIT)


@posix
@pytest.mark.parametrize("kill", ["launcher", "worker"])
def test_a_launcher_and_its_child_end_together(empty: Path, tmp_path: Path, kill: str) -> None:
    """PythonSlicer is a launcher: the process that we start is not the one that works."""
    python = tmp_path / "PythonSlicer"
    python.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    python.chmod(0o755)
    with WorkerRunner(python, folder=empty) as runner:
        job = runner.submit(SELFTEST + "sleep", {}, {"seconds": 60, "polite": False})
        drain(job, lambda event: event.message == "Sleeping")
        assert runner.pid is not None
        worker = psutil.Process(runner.pid)
        launcher = worker.parent()
        assert launcher is not None
        assert launcher.pid != os.getpid()
        if kill == "worker":
            worker.kill()
            with pytest.raises(WorkerError, match="memory ran out"):
                job.result(LIMIT)
        else:
            launcher.kill()  # the orphaned worker goes on and can still be cancelled
            cancelled_within(job, 2.0)
        assert gone([worker.pid, launcher.pid])
        next_run_works(runner, empty)


def test_close_ends_a_running_task_and_refuses_more(empty: Path) -> None:
    runner = WorkerRunner(folder=empty)
    job = runner.submit(SELFTEST + "sleep", {}, {"seconds": 60, "polite": False})
    drain(job, lambda event: event.message == "Sleeping")
    pid = runner.pid
    assert pid is not None
    start = time.monotonic()
    runner.close()
    assert time.monotonic() - start < 2.5
    assert job.done
    assert not alive(pid)
    assert list(empty.iterdir()) == []
    with pytest.raises(WorkerError, match="closed"):
        runner.submit(SELFTEST + "echo", {}, {})
    runner.close()


def test_closing_an_idle_runner_is_quick(empty: Path) -> None:
    runner = WorkerRunner(folder=empty)
    runner.submit(SELFTEST + "echo", {}, {}).result(LIMIT)
    start = time.monotonic()
    runner.close()
    assert time.monotonic() - start < 0.7
    assert list(empty.iterdir()) == []


def test_a_forgotten_runner_is_closed(empty: Path) -> None:
    runner = WorkerRunner(folder=empty)
    runner.submit(SELFTEST + "echo", {}, {}).result(LIMIT)
    pid = runner.pid
    assert pid is not None
    runner._thread.join()  # type: ignore[union-attr]  # the job's own thread holds the runner until it ends
    del runner
    gc.collect()
    assert gone([pid])
    assert list(empty.iterdir()) == []


OWNER = """
import sys, time
from pathlib import Path
from medai.core.jobs import WorkerRunner
import numpy as np
runner = WorkerRunner(folder=sys.argv[1])
polite = sys.argv[2] == "polite"
job = runner.submit("medai.core.selftest:sleep", {"v": np.zeros(1000)}, {"seconds": 60, "polite": polite})
while not any(event.message == "Sleeping" for event in job.events()):
    time.sleep(0.01)
print(runner.pid, flush=True)
if sys.argv[3] == "exit":
    sys.exit(0)
time.sleep(60)
"""


def started_owner(place: Path, task: str, end: str) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-c", OWNER, str(place), task, end]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


@posix
@pytest.mark.parametrize("task", ["polite", "native"])
@pytest.mark.parametrize("end", ["kill", "exit"])
def test_a_worker_does_not_outlive_its_owner_nor_do_its_files(empty: Path, task: str, end: str) -> None:
    owner, worker = started_owner(empty, task, end)
    if end == "kill":
        assert alive(worker)
        owner.kill()
    owner.communicate(timeout=LIMIT)
    assert gone([worker], 4.0)
    assert list(empty.iterdir()) == []


@posix
def test_what_a_dead_owner_and_worker_left_is_swept_at_the_next_start(empty: Path) -> None:
    owner, worker = started_owner(empty, "polite", "wait")
    os.kill(worker, signal.SIGSTOP)
    owner.kill()
    owner.communicate(timeout=LIMIT)
    os.kill(worker, signal.SIGKILL)
    assert len(list(empty.iterdir())) == 1
    with WorkerRunner(folder=empty) as runner:
        runner.submit(SELFTEST + "echo", {}, {}).result(LIMIT)
        assert len(list(empty.iterdir())) == 1
    assert list(empty.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_the_jobs_error(tmp_path: Path) -> None:
    with WorkerRunner(folder=tmp_path / "missing") as runner, pytest.raises(MedAIError, match="temporary folder"):
        runner.submit(SELFTEST + "echo", {}, {}).result(LIMIT)


def test_the_private_folder_is_closed_to_others(runner: WorkerRunner, place: Path) -> None:
    runner.submit(SELFTEST + "echo", {}, {}).result(LIMIT)
    (folder,) = place.iterdir()
    if os.name == "posix":
        assert folder.stat().st_mode & 0o077 == 0
