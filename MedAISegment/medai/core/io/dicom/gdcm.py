"""The owner's side of :mod:`medai.core.io.dicom.gdcm_child`: one child for all frames of a series."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.interpreter import child_environment, find_python

from .quiet import quiet_pydicom

START_SECONDS = 120.0
FRAME_SECONDS = 60.0


class GdcmDecoder:
    """Decodes single-frame data sets; the child starts with the first one and ends with the ``with`` block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> GdcmDecoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._folder is not None:
            self._folder.cleanup()

    def decode(self, dataset: Any) -> npt.NDArray[Any] | None:
        """Return the stored values of a frame, shape (J, I); None if GDCM fails, crashes or hangs on it.

        Parameters
        ----------
        dataset : pydicom.Dataset
            One encapsulated frame without rescaling and without anything about a patient.
        """
        process = self._running()
        assert self._folder is not None
        assert process.stdin is not None
        frame, array = Path(self._folder.name, "frame.dcm"), Path(self._folder.name, "frame.npy")
        with quiet_pydicom():
            dataset.save_as(frame, enforce_file_format=True)
        try:
            process.stdin.write(json.dumps({"dicom": str(frame), "array": str(array)}) + "\n")
            process.stdin.flush()
        except OSError:
            self._stop()
            return None
        if self._answer(FRAME_SECONDS) != "ok":
            return None
        return np.asarray(np.load(array, allow_pickle=False))

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="medai-")
        self._answers = queue.Queue()
        self._process = subprocess.Popen(
            [find_python(), "-m", "medai.core.io.dicom.gdcm_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(Path(self._folder.name)),
            encoding="utf-8",
            errors="replace",
        )
        threading.Thread(target=_pump, args=(self._process, self._answers), daemon=True).start()
        self._answer(START_SECONDS)
        return self._process

    def _answer(self, seconds: float) -> str:
        try:
            word = self._answers.get(timeout=seconds)
        except queue.Empty:
            word = ""
        if not word:  # it crashed or hangs
            self._stop()
        return word

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    pass
        self._process = None


def _pump(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("@"):
                answers.put(line[1:].strip())
    except ValueError:  # closed while reading
        pass
    answers.put("")
