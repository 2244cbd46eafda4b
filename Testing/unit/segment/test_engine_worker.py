"""A model in the warm worker process: it stays loaded, is given back, can be cancelled at any stage, and be killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("safetensors")

from medai.core.errors import Cancelled, WorkerError
from medai.core.geometry import Geometry
from medai.core.jobs import Job, WorkerRunner
from medai.core.volume import Volume
from medai.segment.models import ModelStore

PREDICT, RELEASE = "medai.segment.tasks:predict", "medai.segment.tasks:release"
SETTINGS = {"model": "hippocampus", "options": {"regions": "image", "device": "cpu"}}
WAIT = 60.0


@pytest.fixture
def runner() -> Iterator[WorkerRunner]:
    if not any(model.id == "hippocampus" for model in ModelStore().list()):
        pytest.skip("the model is not in this checkout")
    with WorkerRunner() as opened:
        yield opened


def image(*shape: int, spacing: float = 1.0) -> Volume:
    array = np.random.default_rng(1).normal(300, 80, shape).astype(np.float32)
    return Volume(array, Geometry.from_spacing(shape, (spacing,) * 3, (0.0, 0.0, 0.0), np.eye(3)), modality="MR")


def wait_for(job: Job, wanted: Callable[[str], bool]) -> str:
    """Return the first message that is wanted; fails if the job ends before."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        done = job.done
        for event in job.events():
            if event.kind == "progress" and wanted(event.message):
                return event.message
        assert not done, "the run ended too early"
        time.sleep(0.005)
    raise AssertionError("the message did not come")


def run(runner: WorkerRunner, volume: Volume) -> dict[str, Any]:
    return runner.submit(PREDICT, {"volume": volume}, SETTINGS).result(timeout=WAIT)


def test_the_model_stays_loaded_until_it_is_given_back(runner: WorkerRunner) -> None:
    volume = image(36, 44, 36)
    first, second = run(runner, volume), run(runner, volume)
    assert first["info"]["inference"]["warm"] is False
    assert second["info"]["inference"]["warm"] is True
    assert np.array_equal(first["labels"].array, second["labels"].array)
    assert runner.submit(RELEASE, {}, {}).result(timeout=WAIT) == {"released": 1}
    assert runner.submit(RELEASE, {}, {}).result(timeout=WAIT) == {"released": 0}
    assert run(runner, volume)["info"]["inference"]["warm"] is False


def test_killed_between_windows_and_the_next_run_works(runner: WorkerRunner) -> None:
    job = runner.submit(PREDICT, {"volume": image(96, 96, 96)}, SETTINGS)
    message = wait_for(job, lambda text: text.startswith("window"))
    assert "left" in message
    assert runner.pid is not None
    psutil.Process(runner.pid).kill()
    with pytest.raises(WorkerError, match=r"(killed|ended)"):
        job.result(timeout=WAIT)
    assert run(runner, image(36, 44, 36))["labels"].geometry.shape == (36, 44, 36)


@pytest.mark.parametrize(
    ("stage", "volume"),
    [
        ("loading the network", image(36, 44, 36)),
        ("loading the model", image(200, 200, 200, spacing=0.7)),  # what follows is the image's resampling
        ("window", image(96, 96, 96)),
    ],
    ids=["model load", "resampling", "windows"],
)
def test_cancelled_in_every_stage(runner: WorkerRunner, stage: str, volume: Volume) -> None:
    job = runner.submit(PREDICT, {"volume": volume}, SETTINGS)
    wait_for(job, lambda text: text.startswith(stage))
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(timeout=10.0)
    assert run(runner, image(36, 44, 36))["labels"].geometry.shape == (36, 44, 36)


def test_progress_names_windows_and_time_and_never_falls(runner: WorkerRunner) -> None:
    job = runner.submit(PREDICT, {"volume": image(64, 64, 64)}, SETTINGS)
    job.result(timeout=WAIT)
    told = [event for event in job.events() if event.kind == "progress"]
    shares = [event.fraction for event in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert any(" of " in event.message and "left" in event.message for event in told)
