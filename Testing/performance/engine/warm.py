"""A model's second run in the warm worker: from submission to the first window, beside a worker that starts anew."""

from __future__ import annotations

import time

import numpy as np

TASK = "medai.segment.tasks:predict"
SETTINGS = {"model": "hippocampus", "options": {"regions": "image"}}


def crop():
    """Return a T1-like crop as large as those that the model was trained on."""
    from medai.core.geometry import Geometry
    from medai.core.volume import Volume

    array = np.random.default_rng(1).normal(300, 80, (36, 52, 36)).astype(np.float32)
    return Volume(array, Geometry(array.shape, np.eye(4)), modality="MR")


def first_window(runner, volume) -> dict:
    """Run once; return seconds from submission to the first message of a window that is done, and to the result."""
    started = time.perf_counter()
    job = runner.submit(TASK, {"volume": volume}, SETTINGS)
    first = None
    while not job.done:
        for event in job.events():
            if first is None and event.kind == "progress" and "window" in event.message:
                first = time.perf_counter() - started
        time.sleep(0.002)
    info = job.result(timeout=0)["info"]["inference"]
    return {
        "first_window": round(first or float("nan"), 3),
        "backend": info["backend"],
        "precision": info["precision"],
        "seconds_windows": info["seconds_windows"],
    }


def runs():
    """Ours: the worker has run the model before.  Cold: a new worker loads libraries and weights."""
    from medai.core.jobs import WorkerRunner

    volume = crop()
    warm = WorkerRunner()

    def ours():
        return first_window(warm, volume)

    def cold():
        with WorkerRunner() as runner:
            return first_window(runner, volume)

    first_window(warm, volume)
    return {"ours": ours, "a new worker": cold}


CASES = {"second run of a model": runs}
