"""What this machine's processors are called and can do."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import lru_cache


@lru_cache(maxsize=1)
def cpu_name() -> str:
    """Return the processor's name for people; the architecture if it tells no name."""
    try:
        if sys.platform == "linux":
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    if line.lower().startswith("model name"):
                        return line.partition(":")[2].strip()
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()


def threads() -> int:
    """Return how many threads a network may use: as many as torch, which respects ``OMP_NUM_THREADS``."""
    import torch

    return int(torch.get_num_threads()) or os.cpu_count() or 1


@lru_cache(maxsize=1)
def torch_has_fast_bf16() -> bool:
    """Tell whether torch's CPU kernels find instructions for bfloat16; without them it is slower than float32."""
    import torch

    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        supported = getattr(torch.cpu, name, None)
        if supported is not None and supported():
            return True
    return False


def devices() -> dict[str, str]:
    """Return torch's devices that are here, best first, and why the others are not: empty text if it is here."""
    try:
        import torch
    except ImportError:
        return {"cuda": "torch is not installed", "mps": "torch is not installed", "cpu": ""}
    built = torch.backends.cuda.is_built()
    cuda = "" if torch.cuda.is_available() else "no CUDA device was found" if built else "torch was built without CUDA"
    mps = "" if torch.backends.mps.is_available() else "no Apple GPU was found"
    return {"cuda": cuda, "mps": mps, "cpu": ""}
