"""Times of the U-Net engine's parts beside their peers, each contender in a process of its own.

    python Testing/performance/bench_engine.py [WORDS] [--repeat 2] [--json FILE]

It runs the cases in ``engine/*.py`` whose file or case name contains one of the words.  A case file has ``CASES``: a
dict of case name to a function that returns ``{"ours": callable, "peer name": callable, ...}``; preparing what the
callables need is not timed.  A callable may return a dict of facts (numbers to show beside the time).  Time is the
least of the repeats; memory is the process's peak beyond what it held before the first call.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "engine"


def load(file: Path):
    """Import a case file."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resident() -> float:
    """MiB that this process holds now."""
    import psutil

    return psutil.Process().memory_info().rss / 2**20


def contend(file: Path, case: str, contender: str | None, repeat: int) -> dict:
    """Run one contender here; without a name, return the names."""
    contenders = load(file).CASES[case]()
    if contender is None:
        return {"names": list(contenders)}
    call = contenders[contender]
    before, peak, done = resident(), [0.0], threading.Event()

    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    times, facts = [], {}
    for _ in range(repeat):
        started = time.perf_counter()
        facts = call() or {}
        times.append(time.perf_counter() - started)
    done.set()
    watcher.join()
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": min(times), "first": times[0], "mib": max(peak[0] - before, 0.0), "peak_mib": highest, **facts}


def ask(file: Path, case: str, contender: str | None, repeat: int) -> dict:
    """Run :func:`contend` in a new process."""
    command = [sys.executable, __file__, "--child", str(file), case, contender or "", "--repeat", str(repeat)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1:] or ["died"]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--json", default="")
    parser.add_argument("--child", nargs=3)
    args = parser.parse_args()
    if args.child:
        file, case, contender = args.child
        print(json.dumps(contend(Path(file), case, contender or None, args.repeat)))
        return
    rows = []
    for file in sorted(FOLDER.glob("*.py")):
        for case in load(file).CASES:
            if args.words and not any(w in file.stem or w in case for w in args.words):
                continue
            names = ask(file, case, None, 1).get("names", [])
            found = {name: ask(file, case, name, args.repeat) for name in names}
            ours = found.get("ours", {}).get("seconds")
            print(f"\n{case}")
            for name, facts in found.items():
                if "error" in facts:
                    print(f"  {name:<28} {facts['error']}")
                    continue
                ratio = f"{facts['seconds'] / ours:6.2f} x" if ours else ""
                more = {k: v for k, v in facts.items() if k not in ("seconds", "first", "mib", "peak_mib")}
                print(
                    f"  {name:<28} {facts['seconds']:8.3f} s (first {facts['first']:.2f}) {ratio}  "
                    f"+{facts['mib']:.0f} MiB {more or ''}"
                )
            rows.append({"file": file.stem, "case": case, "contenders": found})
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
