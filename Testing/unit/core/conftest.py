"""Fixtures of the core's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

PROBE = '''
"""Tasks that misbehave, for the tests of the runners."""
import multiprocessing, os, pathlib, subprocess, sys, tempfile, time

import numpy as np

loaded = []


def hang():
    time.sleep(60)


def remember(inputs, settings, *, progress, cancel):
    """Stand in for a model that is loaded once."""
    loaded.append(settings["value"])
    return {"pid": os.getpid(), "loaded": list(loaded)}


def noise(inputs, settings, *, progress, cancel):
    """Print in every way that a library may."""
    print("SECRET^JOHN in print")
    sys.stdout.write("{}\\n")
    sys.__stdout__.write("{}\\n")
    sys.__stdout__.flush()
    os.write(1, b'{"type": "result", "job": 1}\\n')
    subprocess.run([sys.executable, "-c", "print(12345)"], check=True)
    sys.stderr.write("x" * 200000 + "\\n")
    return {"read": sys.stdin.read()}


def chatter(inputs, settings, *, progress, cancel):
    """Report progress far too often."""
    for number in range(20000):
        progress(number / 20000, f"step {number}")
    progress(float("nan"), "nonsense")
    progress(1.0, "end")
    return {}


def two_words(inputs, settings, *, progress, cancel):
    """Say something new at once after the first word, then work on in native code."""
    progress(0.1, "first")
    progress(0.2, "second")
    time.sleep(60)


def family(inputs, settings, *, progress, cancel):
    """Start a child and a detached grandchild, leave a temporary file and half an output, then hang."""
    from medai.core import atomic

    code = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    code += "; print(p.pid, flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    grandchild = int(child.stdout.readline())
    fork = multiprocessing.get_context("fork").Process(target=hang)
    fork.start()
    folder = pathlib.Path(settings["folder"])
    (folder / "pids").write_text(f"{os.getpid()} {child.pid} {grandchild} {fork.pid}")
    tempfile.mkdtemp()
    with atomic.atomic_path(folder / "result.txt") as temporary:
        temporary.write_text("half")
        progress(1.0, "hanging")
        time.sleep(60)
    return {}


def orphan(inputs, settings, *, progress, cancel):
    """Die and leave a child that keeps the pipes open."""
    fork = multiprocessing.get_context("fork").Process(target=hang)
    fork.start()
    pathlib.Path(settings["folder"], "pids").write_text(str(fork.pid))
    os.kill(os.getpid(), 9)


def large(inputs, settings, *, progress, cancel):
    """Return a large array, and ask to be cancelled just before."""
    progress(1.0, "writing")
    return {"array": np.zeros(settings["bytes"], np.uint8)}


def unsendable(inputs, settings, *, progress, cancel):
    return {"x": object()}


def hungry(inputs, settings, *, progress, cancel):
    np.ones(1 << 50, np.uint8)
    return {}


def patient(inputs, settings, *, progress, cancel):
    open("/data/SECRET^JOHN/1.dcm")


def log(inputs, settings, *, progress, cancel):
    import logging

    logging.getLogger("medai.probe").warning("a doubtful thing")
    return {}


def environment(inputs, settings, *, progress, cancel):
    return {"path": sys.path, "python": sys.executable, "temporary": tempfile.gettempdir()}
'''


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Make a further portion of the ``medai`` namespace; call with a function's name for the task's name."""
    portion = tmp_path_factory.mktemp("portion")
    (portion / "medai" / "probe").mkdir(parents=True)
    (portion / "medai" / "probe" / "tasks.py").write_text(PROBE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(portion)
        yield lambda function: f"medai.probe.tasks:{function}"
