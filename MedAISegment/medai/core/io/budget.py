"""Refuse headers that ask for more memory than this machine can give, before anything is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from medai.core.errors import InputError

MAX_SIDE = 1 << 20
"""Largest number of voxels along one axis."""
MEMORY_SHARE = 0.5
"""Share of the machine's memory that one image may take."""


def memory_budget() -> int:
    """Bytes that one image may take: half of the memory of the machine or of its container (8 GiB if not known)."""
    return int(min(_machine_memory(), _container_memory()) * MEMORY_SHARE)


def _machine_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        pass
    try:
        import psutil

        return float(psutil.virtual_memory().total)
    except ImportError:
        return float(16 << 30)


def _container_memory() -> float:
    """Memory limit of control groups version 2 and 1; infinity where there is none."""
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(name, encoding="ascii") as stream:
                return float(int(stream.read()))
        except (OSError, ValueError):
            continue
    return math.inf


def check_sizes(sizes: Sequence[int], itemsize: int, name: str) -> int:
    """Return the bytes that ``sizes`` voxels take.

    Parameters
    ----------
    sizes : sequence of int
        Voxels along each axis.
    itemsize : int
        Bytes of one voxel.
    name : str
        File name, for the message.

    Raises
    ------
    InputError
        If a size is not positive or is absurd, or all together exceed the budget.
    """
    if not sizes or any(n < 1 or n > MAX_SIDE for n in sizes):
        raise InputError(
            f"The header of {name!r} states sizes {list(sizes)}; each must lie from 1 to {MAX_SIDE}.",
            hint="The header is damaged.",
        )
    needed = math.prod(int(n) for n in sizes) * itemsize
    budget = memory_budget()
    if needed > budget:
        raise InputError(
            f"The header of {name!r} asks for {needed / 2**30:.1f} GiB of voxels ({' x '.join(map(str, sizes))}); "
            f"this machine's budget is {budget / 2**30:.1f} GiB.",
            hint="If the header is right, crop or down-sample the image on a larger machine.",
            code="HEADER_BUDGET",
        )
    return needed
