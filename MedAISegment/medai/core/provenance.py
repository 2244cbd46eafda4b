"""What made a result: versions of the software, and the machine without its name or its user's."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from .version import VERSION

PACKAGES = (
    "numpy", "scipy", "scikit-image", "SimpleITK", "torch", "monai", "safetensors", "openvino", "onnxruntime",
    "pydicom", "highdicom", "pydantic", "slicer-core",
)  # fmt: skip
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def software_provenance() -> dict[str, Any]:
    """Describe this installation as JSON-ready values, without loading any of the packages.

    Returns
    -------
    dict
        ``medai`` (version), ``commit`` (of a checkout, else None), ``python``, ``implementation``, ``os`` (``system``,
        ``release``, ``machine``), ``cpu`` (``name``, ``logical_cores``), ``ram_gib``, ``devices`` (each ``kind``,
        ``name``, and ``memory_gib`` if known) and ``packages`` (name to version, None if not installed).
        No user name, host name or path is in it.
    """
    return {
        "medai": VERSION,
        "commit": _commit(Path(__file__).resolve().parents[3]),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "os": {"system": platform.system(), "release": platform.release(), "machine": platform.machine()},
        "cpu": {"name": _cpu_name(), "logical_cores": os.cpu_count()},
        "ram_gib": _ram_gib(),
        "devices": _devices(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit(root: Path) -> str | None:
    """Return the commit that is checked out at ``root``; None unless ``root`` is a checkout of this project."""
    git = root / ".git"
    if not (root / "MedAISegment" / "medai" / "core").is_dir() or not git.exists():
        return None
    try:
        if git.is_file():  # a linked worktree or a submodule
            git = (root / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return _hash_or_none(head)
        reference = head.removeprefix("ref:").strip()
        shared = git / "commondir"
        stores = [git, (git / shared.read_text(encoding="utf-8").strip())] if shared.is_file() else [git]
        for store in stores:
            if (store / reference).is_file():
                return _hash_or_none((store / reference).read_text(encoding="utf-8").strip())
            packed = store / "packed-refs"
            for line in packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ():
                if line.endswith(f" {reference}"):
                    return _hash_or_none(line.partition(" ")[0])
    except (OSError, ValueError):
        pass
    return None


def _hash_or_none(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", text) else None


@functools.cache
def _cpu_name() -> str:
    try:
        if sys.platform == "linux":
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        elif sys.platform == "darwin":
            return _output(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]).strip()
        elif sys.platform == "win32":
            import winreg

            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
                return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _ram_gib() -> float | None:
    try:
        import psutil
    except ImportError:
        return None
    return round(float(psutil.virtual_memory().total) / 2**30, 1)


def _devices() -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = [{"kind": "cpu", "name": _cpu_name()}]
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(index)
            devices.append({"kind": "cuda", "name": found.name, "memory_gib": round(found.total_memory / 2**30, 1)})
    elif torch is None:
        devices += _nvidia_devices()
    if sys.platform == "darwin" and platform.machine() == "arm64":
        devices.append({"kind": "mps", "name": _cpu_name()})
    return devices


@functools.cache
def _nvidia_devices() -> list[dict[str, Any]]:
    """Graphics cards that the driver knows; whether torch can use them is only known once it is loaded."""
    if _NVIDIA.is_dir():
        texts = [file.read_text(errors="replace") for file in sorted(_NVIDIA.glob("*/information"))]
        found = [re.search(r"^Model:\s*(.+?)\s*$", text, re.MULTILINE) for text in texts]
        return [{"kind": "cuda", "name": match.group(1)} for match in found if match]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    lines = _output([tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]).splitlines()
    rows = [line.rpartition(",") for line in lines if line.rpartition(",")[2].strip().isdigit()]
    return [{"kind": "cuda", "name": n.strip(), "memory_gib": round(int(m) / 1024, 1)} for n, _, m in rows]


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
