"""Small tasks that show whether a runner works: for the self test in the panel, ``medai info`` and the tests."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from .progress import CancelToken, ProgressFn
from .settings import Settings


class SleepSettings(Settings):
    """How long to sleep."""

    seconds: float = Field(1.0, ge=0, le=3600, description="Duration in s.")
    polite: bool = Field(True, description="Poll the cancel token; if false, sleep in one native call.")


class CrashSettings(Settings):
    """How to fail."""

    how: Literal["exception", "memory", "exit", "signal", "native"] = Field(
        "exception", description="Unexpected exception, memory error, sys.exit, SIGKILL, or a native crash."
    )


def echo(
    inputs: Mapping[str, Any], settings: Mapping[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Return the inputs as they came, with the settings."""
    progress(1.0, "Echo")
    return {**inputs, "settings": dict(settings)}


def info(
    inputs: Mapping[str, Any], settings: Mapping[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Return the process number, the Python version and whether torch is loaded."""
    return {"pid": os.getpid(), "python": platform.python_version(), "torch_loaded": "torch" in sys.modules}


def sleep(
    inputs: Mapping[str, Any], settings: Mapping[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Sleep, politely or like native code that cannot be asked to stop; see :class:`SleepSettings`."""
    s = SleepSettings.parse(dict(settings))
    if not s.polite:
        progress(0.0, "Sleeping")
        time.sleep(s.seconds)
        return {}
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < s.seconds:
        cancel.check()
        progress(elapsed / s.seconds, "Sleeping")
        time.sleep(min(0.02, s.seconds - elapsed))
    return {}


def crash(
    inputs: Mapping[str, Any], settings: Mapping[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Fail on purpose; see :class:`CrashSettings`.  ``signal`` and ``native`` end the process that runs it."""
    how = CrashSettings.parse(dict(settings)).how
    if how == "memory":
        raise MemoryError
    if how == "exit":
        sys.exit(1)
    if how == "signal":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    if how == "native":
        os.abort()
    raise RuntimeError("failed on purpose")
