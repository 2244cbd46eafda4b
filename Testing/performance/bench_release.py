"""Measure what this release promises and print it as Markdown: ``python Testing/performance/bench_release.py``.

Ratios are taken within one run, because the machines are noisy.  Nothing here is a test.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")


def demo() -> list[tuple[str, str, str]]:
    """Time and peak memory of the whole demo as its own process."""
    import psutil

    with tempfile.TemporaryDirectory() as folder:
        program = "from medai.cli.app import main; main()"
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", program, "demo", "--out", folder + "/out", "--json"], stdout=subprocess.PIPE
        )
        peak = 0
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.Error:
                break
            time.sleep(0.05)
        shown = json.loads(process.communicate()[0])
        seconds = time.monotonic() - started
        report = json.loads((Path(folder) / "out" / "report.json").read_text("utf-8"))
    steps = ", ".join(f"{t['step']} {t['duration']['value']:.1f}" for t in report["provenance"]["times"])
    return [
        ("medai demo, process start to end", f"{seconds:.1f} s (inside {shown['seconds']:.1f} s: {steps})", "120 s"),
        ("medai demo, peak memory", f"{peak / 2**30:.2f} GiB", "4 GiB"),
    ]


def imports(repeats: int = 5) -> list[tuple[str, str, str]]:
    """Import time of each module file on top of ``import slicer``, in the test host."""
    code = (
        "import sys, time; sys.path[:0] = {paths!r}\n"
        "import medai_host; medai_host.install()\n"
        "import slicer\n"
        "before = set(sys.modules); start = time.perf_counter(); import {name}\n"
        "print(time.perf_counter() - start, 'torch' in sys.modules)"
    )
    paths = [str(ROOT / "Testing" / "host"), *(str(ROOT / name) for name in MODULES)]
    rows = []
    for name in MODULES:
        seconds = []
        for _ in range(repeats):
            done = subprocess.run(
                [sys.executable, "-c", code.format(paths=paths, name=name)], capture_output=True, text=True, check=True,
                env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
            )  # fmt: skip
            value, torch = done.stdout.split()[-2:]
            assert torch == "False"
            seconds.append(float(value))
        rows.append((f"import {name}.py", f"{statistics.median(seconds):.3f} s, no torch", "0.3 s"))
    return rows


def worker() -> list[tuple[str, str, str]]:
    """First and second U-Net run in one worker: time until the first window is done."""
    from medai.core.geometry import Geometry
    from medai.core.jobs import WorkerRunner
    from medai.core.volume import Volume

    rng = np.random.default_rng(0)
    array = rng.normal(size=(40, 56, 40)).astype(np.float32)
    volume = Volume(array, Geometry.from_spacing(array.shape))
    pipeline = [{"step": "unet", "settings": {"model": "hippocampus", "regions": "image", "device": "cpu"}}]
    runner = WorkerRunner()
    marks = []
    try:
        for _ in range(4):
            started = time.monotonic()
            job = runner.submit("medai.segment.tasks:segment", {"volume": volume}, {"pipeline": pipeline})
            loaded = first = None
            while not job.done:
                for event in job.events():
                    if event.kind == "progress" and first is None:
                        now = time.monotonic() - started
                        loaded = now if loaded is None and "model" in event.message else loaded
                        first = now if event.message.startswith("window") else None
                time.sleep(0.001)
            job.result()
            marks.append((loaded or 0.0, first or time.monotonic() - started, time.monotonic() - started))
    finally:
        runner.close()
    second = statistics.median(m[1] for m in marks[1:])
    return [
        ("first U-Net run in a new worker, start to first window done", f"{marks[0][1]:.2f} s", ""),
        ("second run in the same worker, submit to the model's turn",
         f"{statistics.median(m[0] for m in marks[1:]):.3f} s", "0.2 s"),
        ("second run in the same worker, submit to first window done",
         f"{second:.3f} s ({marks[0][1] / second:.0f}x faster than the first)", ""),
    ]  # fmt: skip


def window() -> list[tuple[str, str, str]]:
    """The U-Net segmenter on a training-sized crop against the bare forward pass."""
    import torch

    from medai.core.geometry import Geometry
    from medai.core.volume import Volume
    from medai.segment.models import ModelStore, load_network
    from medai.segment.segmenters.unet import UNet

    rng = np.random.default_rng(0)
    array = rng.normal(size=(36, 50, 36)).astype(np.float32)
    volume = Volume(array, Geometry.from_spacing(array.shape))
    network = load_network(ModelStore().find("hippocampus"))
    tensor = torch.zeros(1, 1, 40, 56, 40)
    settings = {"regions": "image", "device": "cpu"}
    ratios, bare = [], []
    for _ in range(7):
        start = time.perf_counter()
        with torch.inference_mode():
            network(tensor)
        middle = time.perf_counter()
        UNet().run(volume, settings)
        bare.append(middle - start)
        ratios.append((time.perf_counter() - middle) / (middle - start))
    text = f"{statistics.median(ratios):.2f}x of {statistics.median(bare) * 1000:.0f} ms"
    return [("U-Net segmenter on a crop, against the bare forward pass", text, "")]


def read_nifti() -> list[tuple[str, str, str]]:
    """Reading a compressed NIfTI with every check, against SimpleITK without."""
    import SimpleITK as sitk

    from medai.core.geometry import Geometry
    from medai.core.io import read_volume, write_volume
    from medai.core.volume import Volume

    rng = np.random.default_rng(0)
    array = rng.normal(0, 100, size=(128, 256, 256)).astype(np.int16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii.gz"
        write_volume(Volume(array, Geometry.from_spacing(array.shape)), path)
        ratios = []
        for _ in range(5):
            start = time.perf_counter()
            sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
            middle = time.perf_counter()
            read_volume(path)
            ratios.append((time.perf_counter() - middle) / (middle - start))
    return [("reading .nii.gz with all checks, against SimpleITK", f"{statistics.median(ratios):.2f}x", "")]


def main() -> None:
    """Print the table."""
    print("| What | Measured | Bar |\n|---|---|---|")
    for part in (demo, imports, worker, window, read_nifti):
        for row in part():
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
