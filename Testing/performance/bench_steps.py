"""Time every step beside the libraries that do the same work, and print the table of docs/performance.md.

    python Testing/performance/bench_steps.py                 # the whole table, 512 x 512 x 300 int16
    python Testing/performance/bench_steps.py median otsu     # some rows
    python Testing/performance/bench_steps.py --slices 32     # a quick look; the bar is meant for 300

Each file in ``steps/`` defines ``CASES``.  Ours and its peers run in turn, each in its own forked child, ``--repeat``
times; the best time counts.  Extra memory is the child's peak above what it held at the start, in volumes of the
input; it must stay under 3.  The image is a noisy phantom made here: a body with organs, air and bone.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "steps"
GIVE_UP_SECONDS = 900


def phantom(slices: int, size: int = 512) -> np.ndarray:
    """Return an int16 CT-like image, shape (slices, size, size): body, two lungs, spine, noise of 20 HU."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    image = np.empty((slices, size, size), dtype=np.int16)
    for k in range(slices):
        z = (k + 0.5) / slices * 2 - 1
        plane = np.full((size, size), -1000.0, dtype=np.float32)
        plane[(x / 0.85) ** 2 + (y / 0.6) ** 2 < 1] = -90
        plane[(x / 0.8) ** 2 + (y / 0.55) ** 2 < 1] = 45
        for side in (-1, 1):
            plane[((x - 0.4 * side) / 0.27) ** 2 + (y / 0.38) ** 2 + z**2 < 1] = -840
        plane[((x - 0.3) / 0.12) ** 2 + ((y - 0.2) / 0.1) ** 2 + (z / 0.5) ** 2 < 1] = 130
        plane[(x / 0.09) ** 2 + ((y - 0.42) / 0.09) ** 2 < 1] = 420
        image[k] = plane + rng.normal(0, 20, (size, size))
    return image


def memory(field: str) -> int:
    """Return VmRSS or VmHWM of this process in bytes (Linux)."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(rf"{field}:\s+(\d+) kB", text)
    return int(match.group(1)) * 1024 if match else 0


def child(function: Any, image: np.ndarray, pipe: Any) -> None:
    """Run once and send (seconds, extra bytes) or the error's text."""
    try:
        warm = image[: min(4, len(image)), :64, :64].copy()
        try:
            function(warm)  # imports, thread pools and compiled code are not what is compared
        except Exception:
            pass
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = memory("VmRSS")
        begun = time.perf_counter()
        function(image)
        pipe.send((time.perf_counter() - begun, memory("VmHWM") - before))
    except BaseException as error:
        pipe.send(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")


def measure(function: Any, image: np.ndarray) -> tuple[float, float] | str:
    """Return (seconds, extra volumes), or why not."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=child, args=(function, image, there))
    process.start()
    found = here.recv() if here.poll(GIVE_UP_SECONDS) else f"more than {GIVE_UP_SECONDS} s"
    process.kill()
    process.join()
    return found if isinstance(found, str) else (found[0], found[1] / image.nbytes)


def cases(wanted: list[str]) -> list[dict[str, Any]]:
    """Return the cases of every file: dicts with ``name``, ``ours``, ``peers``; ``slices`` and ``note`` if needed."""
    found: list[dict[str, Any]] = []
    for path in sorted(FOLDER.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [{**case, "file": path.stem} for case in module.CASES]
    return [c for c in found if not wanted or any(word in c["name"] or word == c["file"] for word in wanted)]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="words of which a case's name must contain one, or files")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    print("| Step | Slices | Ours, s | Extra volumes | Fastest peer, s | Ours / peer | Others, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    failed = False
    images: dict[int, np.ndarray] = {}
    for case in cases(options.names):
        slices = min(options.slices, case.get("slices", 300))
        if slices not in images:
            images = {slices: phantom(slices)}
        image = images[slices]
        best: dict[str, tuple[float, float]] = {}
        for _ in range(options.repeat):
            for label, function in {"ours": case["ours"], **case["peers"]}.items():
                found = measure(function, image)
                if isinstance(found, str):
                    print(f"{case['name']}, {label}: {found}", file=sys.stderr)
                    failed = True
                elif label not in best or found[0] < best[label][0]:
                    best[label] = found
        ours = best.pop("ours", None)
        if ours is None:
            continue
        ranked = sorted(best.items(), key=lambda item: item[1][0])
        first = f"{ranked[0][0]} {ranked[0][1][0]:.2f}" if ranked else "none does this"
        ratio = f"{ours[0] / ranked[0][1][0]:.2f}" if ranked else ""
        others = ", ".join(f"{label} {found[0]:.2f}" for label, found in ranked[1:])
        print(
            f"| {case['name']} | {slices} | {ours[0]:.2f} | {ours[1]:.1f} | {first} | {ratio} | {others} |", flush=True
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
