"""Recognising every library's way of saying that memory is short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medai.core.errors import OutOfMemory

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "cannot allocate memory",
    "alloc_failed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch, OpenVINO, onnxruntime or Python means that there is too little memory."""
    if isinstance(error, MemoryError):
        return True
    # torch.OutOfMemoryError is a RuntimeError too; on the CPU, on MPS and in other libraries only the text tells.
    return isinstance(error, Exception) and any(sign in str(error).lower() for sign in _SIGNS)


@contextmanager
def out_of_memory(device: str, shape: Sequence[int]) -> Iterator[None]:
    """Turn every library's error for too little memory into :class:`~medai.core.errors.OutOfMemory`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            size = " x ".join(map(str, shape))
            raise OutOfMemory(
                f"The device {device!r} has too little memory for a batch of {size}.",
                hint="Close other programs, or run a smaller region.",
            ) from None
        raise
