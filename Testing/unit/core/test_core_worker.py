"""medai.core.worker: the protocol as it goes over the pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Line = dict[str, Any]


class Peer:
    """An owner that writes lines by hand."""

    def __init__(self, scratch: Path) -> None:
        command = [sys.executable, "-m", "medai.core.worker"]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
        self.scratch = scratch
        self.send({"type": "hello", "scratch": str(scratch)})

    def send(self, *lines: Line) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self.process.stdin.flush()

    def receive(self) -> Line:
        assert self.process.stdout is not None
        line: Line = json.loads(self.process.stdout.readline())
        return line

    def last_of(self, job: int) -> Line:
        while (line := self.receive())["type"] in ("progress", "log"):
            assert line["job"] == job
        return line

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                stream.close()

    def request(self, job: int, task: str, settings: Line) -> Line:
        folder = self.scratch / str(job)
        folder.mkdir()
        (folder / "request.json").write_text(json.dumps({"task": task, "inputs": {"x": 1}, "settings": settings}))
        return {"type": "run", "job": job, "folder": str(folder)}


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    made = Peer(tmp_path)
    yield made
    made.end()


def test_hello_run_and_quit(peer: Peer, tmp_path: Path) -> None:
    ready = peer.receive()
    assert ready == {"type": "ready", "protocol": 1, "pid": peer.process.pid}
    peer.send(peer.request(1, "medai.core.selftest:echo", {"a": 2}))
    assert peer.last_of(1) == {"type": "result", "job": 1}
    assert json.loads((tmp_path / "1" / "result.json").read_text()) == {"x": 1, "settings": {"a": 2}}
    peer.send({"type": "quit"})
    assert peer.process.stdin is not None
    peer.process.stdin.close()
    assert peer.process.wait(10) == 0
    assert tmp_path.is_dir()


def test_a_cancel_that_overtakes_its_job(peer: Peer) -> None:
    peer.receive()
    request = peer.request(1, "medai.core.selftest:sleep", {"seconds": 60})
    peer.send(request, {"type": "cancel", "job": 1}, {"type": "cancel", "job": 99})
    assert peer.last_of(1) == {"type": "cancelled", "job": 1}
    peer.send(peer.request(2, "medai.core.selftest:echo", {}))
    assert peer.last_of(2) == {"type": "result", "job": 2}


def test_jobs_in_a_row_and_an_error_between(peer: Peer) -> None:
    peer.receive()
    peer.send(
        peer.request(1, "medai.core.selftest:crash", {"how": "memory"}),
        peer.request(2, "os:system", {}),
        peer.request(3, "medai.core.selftest:echo", {}),
    )
    assert peer.last_of(1)["error"]["type"] == "OutOfMemory"
    assert peer.last_of(2)["error"]["type"] == "SettingsError"
    assert peer.last_of(3) == {"type": "result", "job": 3}


@pytest.mark.parametrize("last", [b"", b"garbage\n", b'{"no": "type"}\n'])
def test_the_process_ends_when_its_input_ends_or_is_no_protocol(peer: Peer, last: bytes) -> None:
    peer.receive()
    peer.send(peer.request(1, "medai.core.selftest:sleep", {"seconds": 60, "polite": False}))
    assert peer.receive()["type"] == "progress"
    assert peer.process.stdin is not None
    peer.process.stdin.write(last)
    peer.process.stdin.close()
    start = time.monotonic()
    peer.process.wait(10)
    assert time.monotonic() - start < 4.0


def test_the_process_ends_when_nobody_reads(peer: Peer) -> None:
    peer.receive()
    assert peer.process.stdout is not None
    peer.process.stdout.close()
    peer.send(peer.request(1, "medai.core.selftest:sleep", {"seconds": 60}))
    peer.process.wait(10)


def test_it_starts_without_the_heavy_packages() -> None:
    code = "import sys, medai.core.jobs, medai.core.worker; print(*sys.modules)"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = "torch monai SimpleITK scipy skimage pydicom slicer vtk matplotlib pandas psutil"
    assert set(heavy.split()).isdisjoint(text.split())
