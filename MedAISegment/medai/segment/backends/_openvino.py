"""OpenVINO without its telemetry, imported once."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

NAMES = {"f32": "f32", "bf16": "bf16"}
"""Our names of precisions -> OpenVINO's."""


@lru_cache(maxsize=1)
def core() -> Any:
    """Return OpenVINO's core.

    Importing ``openvino`` sends an event over the network as long as its package ``openvino_telemetry`` can be imported
    and the user never said no (openvino/tools/ovc/__init__.py).  A program for patients' images sends nothing, so that
    package is hidden from it.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


@lru_cache(maxsize=1)
def has_bf16() -> bool:
    """Tell whether OpenVINO finds instructions for bfloat16 on this processor."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def first_line(error: BaseException) -> str:
    """Return the part of OpenVINO's many lines of error text that says something, without paths of its sources."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Exception from", "Check '", "While "))]
    missing = [line for line in lines if "No conversion rule" in line]
    lines = [line.lstrip("- ") for line in missing + lines]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")
