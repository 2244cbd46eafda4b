"""Fixtures for the readers' tests: synthetic DICOM files, and a child process in which damaged files are read."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CANARY = "CANARY^PATIENT"
MEMORY_LIMIT = 3 << 30
CHILD = """
import json, os, resource, sys, time, traceback
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
from medai.core.errors import MedAIError
from medai.core.io import read_labelmap, read_volume
for line in sys.stdin:
    try:
        path = json.loads(line)
        if path == "@raise":
            raise RuntimeError("on purpose")
        if path == "@crash":
            os.abort()
        if path == "@hang":
            time.sleep(60)
        volume = read_volume(path)
        answer = {"shape": volume.array.shape, "dtype": volume.array.dtype.str, "digest": volume.digest()}
        answer["flags"] = sorted(flag.code for flag in volume.flags)
        answer["text"] = json.dumps([dict(volume.meta), volume.name, [flag.message for flag in volume.flags]])
    except MedAIError as error:
        answer = {"error": error.to_dict(), "text": str(error)}
    except BaseException:
        answer = {"raw": traceback.format_exc(), "text": ""}
    print("@answer " + json.dumps(answer), flush=True)
"""


class GateChild:
    """Reads files in a child with a memory limit, so that a native crash, a hang or a raw exception is a result."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.Queue[str | None] = queue.Queue()

    def start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(MEMORY_LIMIT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env=environment,
        )  # fmt: skip
        self.lines = queue.Queue()
        threading.Thread(target=self._pump, args=(process, self.lines), daemon=True).start()
        self.process = process
        return process

    @staticmethod
    def _pump(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def read(self, path: Path | str, timeout: float = 60.0) -> dict[str, Any]:
        """Answer with ``shape`` ... or ``error`` if all is well; ``raw``, ``crash`` or ``hang`` if not."""
        process = self.process if self.process and self.process.poll() is None else self.start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(str(path)) + "\n")
        process.stdin.flush()
        noise = ""
        while True:
            try:
                line = self.lines.get(timeout=timeout)
            except queue.Empty:
                self.stop()
                return {"hang": timeout, "text": noise}
            if line is None:
                return {"crash": process.wait(), "text": noise}
            if line.startswith("@answer "):
                answer: dict[str, Any] = json.loads(line[8:])
                answer["text"] += noise
                return answer
            noise += line

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session")
def gate_child() -> Iterator[GateChild]:
    pytest.importorskip("resource")
    child = GateChild()
    yield child
    child.stop()


WriteSlice = Callable[..., Path]


@pytest.fixture(scope="session")
def write_slice() -> WriteSlice:
    """Write one synthetic CT slice; keyword arguments set DICOM attributes, None removes one."""
    pydicom = pytest.importorskip("pydicom")

    def write(
        path: Path,
        pixels: Any = None,
        *,
        z: float = 0.0,
        syntax: str = "1.2.840.10008.1.2.1",
        encoded: list[bytes] | None = None,
        **attributes: Any,
    ) -> Path:
        values = np.arange(24, dtype=np.int16).reshape(4, 6) + int(z) if pixels is None else np.asarray(pixels)
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        data.SOPInstanceUID = f"2.25.{zlib.crc32(str(path).encode()) + 1}"
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.PatientName, data.PatientID, data.PatientBirthDate = CANARY, "CANARY-ID", "19000101"
        data.StudyDescription = "CANARY-STUDY"
        data.Modality, data.SeriesInstanceUID, data.InstanceNumber = "CT", "2.25.77", int(abs(z)) + 1
        data.Rows, data.Columns = values.shape[:2]
        data.SamplesPerPixel = 1 if values.ndim == 2 else values.shape[2]
        data.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
        if values.ndim == 3:
            data.PlanarConfiguration = 0
        data.BitsAllocated = data.BitsStored = values.dtype.itemsize * 8
        data.HighBit = data.BitsStored - 1
        data.PixelRepresentation = int(values.dtype.kind == "i")
        data.ImagePositionPatient = [0.0, 0.0, float(z)]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelSpacing = [0.5, 0.25]
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        if encoded is not None:
            data.PixelData = pydicom.encaps.encapsulate(encoded)
            data["PixelData"].VR = "OB"
            data["PixelData"].is_undefined_length = True
        else:
            data.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
            data["PixelData"].VR = "OW" if values.dtype.itemsize > 1 else "OB"
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            for keyword, value in attributes.items():
                if value is None:
                    delattr(data, keyword)
                else:
                    setattr(data, keyword, value)
            data.save_as(path, enforce_file_format=True)
        return path

    return write


WriteSeries = Callable[..., Path]


@pytest.fixture(scope="session")
def write_series(write_slice: WriteSlice) -> WriteSeries:
    """Write a folder of slices at the given z positions, in a shuffled file order."""

    def write(folder: Path, zs: Any, *, prefix: str = "im", **attributes: Any) -> Path:
        folder.mkdir(exist_ok=True)
        for number, z in enumerate(zs):
            write_slice(folder / f"{prefix}{(number * 7) % 100:02d}_{number}.dcm", z=float(z), **attributes)
        return folder

    return write
