"""How much memory is free, asked before it is taken."""

from __future__ import annotations

from medai.core.errors import OutOfMemory

GIB = 2**30
GPU_SHARE = 0.5
"""Share of a GPU's free memory that sums may take; the rest is the network's."""


def free_bytes() -> int:
    """Return the memory that this computer can still give."""
    import psutil

    return int(psutil.virtual_memory().available)


def place_for(needed: int, device: str) -> str:
    """Return the torch device for ``needed`` bytes of sums: the network's if they fit there, else the CPU.

    Raises
    ------
    OutOfMemory
        If the computer has too little memory; asked beforehand, because systems give memory that they have not.
    """
    import torch

    if device.startswith("cuda") and needed < GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
        return device
    free = free_bytes()
    if needed > free:
        raise OutOfMemory(
            f"The class scores of one row of windows take {needed / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free.",
            hint="Close other programs, use a smaller window, or segment a smaller region.",
        )
    return "cpu"
