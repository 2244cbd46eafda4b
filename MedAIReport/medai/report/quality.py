"""Quality flags: gathered from every step, each once, and the traffic light that sums them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from medai.core.qc import QCFlag, Severity

from .model import Finding, Flag

_ONE_A_SEGMENT = frozenset({"FOV_CLIPPED", "MASK_EMPTY"})
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def gather_flags(given: Iterable[QCFlag], findings: Sequence[Finding]) -> tuple[Flag, ...]:
    """Return every flag once, errors first; a segment that is empty or cut off is flagged even if no step said so."""
    flags = list(given)
    for finding in findings:
        name = finding.segment
        if finding.status == "empty":
            flags.append(QCFlag("MASK_EMPTY", Severity.WARNING, f"The segment {name!r} has no voxels.", 0, 1, name))
        if finding.touches_border:
            text = f"The segment {name!r} touches the image's border and may be cut off."
            flags.append(QCFlag("FOV_CLIPPED", Severity.WARNING, text, affects=name))
    kept: list[QCFlag] = []
    seen: set[tuple[str, ...]] = set()
    for flag in sorted(flags, key=lambda f: _ORDER[f.severity]):
        key = (flag.code, flag.affects) if flag.code in _ONE_A_SEGMENT else (flag.code, flag.affects, flag.message)
        if key not in seen:
            seen.add(key)
            kept.append(flag)
    return tuple(
        Flag(
            code=flag.code,
            severity=flag.severity.value,
            message=flag.message,
            measured=flag.measured,
            limit=flag.limit,
            affects=flag.affects,
        )
        for flag in kept
    )


def traffic_light(flags: Sequence[Flag]) -> Literal["green", "amber", "red"]:
    """Return red if there is an error, amber if there is a warning, else green."""
    severities = {flag.severity for flag in flags}
    return "red" if "error" in severities else "amber" if "warning" in severities else "green"
