"""Ctrl-C while a library computes in a thread that cannot be stopped: the command does not wait for it."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("typer")

BUSY = """
import atexit, sys, threading
from concurrent.futures import ThreadPoolExecutor
from medai.cli import app, shell
from medai.core.errors import Cancelled

pool = ThreadPoolExecutor(1)
atexit.register(lambda: sys.stderr.write("tidied"))

@app.app.command("wait")
def wait() -> None:
    def work(token):
        pool.submit(threading.Event().wait)
        raise Cancelled()
    shell.guarded(work, as_json=True)

sys.argv = ["medai", "wait"]
app.main()
"""


def test_a_stopped_command_ends_although_a_thread_computes():
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "CANCELLED"
    assert done.stderr == "tidied"
