"""At most five lines, every number of which stands in the tables."""

from __future__ import annotations

from collections.abc import Sequence

from .model import Finding, Flag, SideComparison

MAX_LINES = 5
_NAMED = 3


def make_summary(
    findings: Sequence[Finding], sides: Sequence[SideComparison], flags: Sequence[Flag]
) -> tuple[str, ...]:
    """Return key numbers with units, what is doubtful, and what is not known."""
    lines = [_sides(sides)] if sides else []
    room = MAX_LINES - 2 - len(lines)
    lines += _segments(findings, room)
    lines.append(_quality(flags))
    lines.append(_unknown(findings))
    return tuple(lines)


def _sides(sides: Sequence[SideComparison]) -> str:
    # Totals stand last; without one, the first pair is named.
    row = sides[-1] if sides[-1].structure.endswith(", total") else sides[0]
    more = f" ({len(sides) - 1} more left-right comparisons below)" if len(sides) > 1 else ""
    return f"{row.structure}: left {row.left.text}, right {row.right.text}, asymmetry index {row.asymmetry.text}{more}."


def _segments(findings: Sequence[Finding], room: int) -> list[str]:
    measured = [f for f in findings if f.status == "measured"]
    if not findings:
        return ["There are no segments."]
    if not measured:
        return [f"No voxels were found in any of the {len(findings)} segments."]
    if len(findings) <= room:
        return [_one(f) for f in findings]
    ranked = sorted(measured, key=lambda f: -(f.volume.value or 0.0))
    shown = ranked if len(ranked) <= _NAMED + 1 else ranked[:_NAMED]
    parts = "; ".join(f"{f.segment} {f.volume.text}" for f in shown)
    rest, empty = len(ranked) - len(shown), len(findings) - len(measured)
    start = f"{len(measured)} segments measured. Largest: " if rest else "Volumes: "
    return [f"{start}{parts}{f'; {rest} more below' if rest else ''}{f'; {empty} empty' if empty else ''}."]


def _one(finding: Finding) -> str:
    if finding.status == "empty":
        return f"{finding.segment}: no voxels."
    parts = [f"volume {finding.volume.text}"]
    if finding.longest_diameter is not None:
        parts.append(f"longest diameter {finding.longest_diameter.text}")
    if finding.mean is not None and finding.sd is not None:
        parts.append(f"mean intensity {finding.mean.text} (SD {finding.sd.text})")
    return f"{finding.segment}: {', '.join(parts)}."


def _quality(flags: Sequence[Flag]) -> str:
    counts = {kind: sum(flag.severity == kind for flag in flags) for kind in ("error", "warning", "info")}
    words = {"error": "error", "warning": "warning", "info": "note"}
    said = [f"{n} {words[kind]}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    codes = list(dict.fromkeys(flag.code for flag in flags if flag.severity != "info"))
    named = f" ({', '.join(codes[:4])}{', ...' if len(codes) > 4 else ''})" if codes else ""
    return f"Quality checks: {', '.join(said) or 'no flags'}{named}."


def _unknown(findings: Sequence[Finding]) -> str:
    known = [f for f in findings if f.probability is not None and f.probability.value is not None]
    if known:
        low = min(known, key=lambda f: (f.probability.value if f.probability else None) or 0.0)
        text = low.probability.text if low.probability else ""
        sure = f"lowest mean class probability {text} ({low.segment}), uncalibrated"
    else:
        sure = "not assessed"
    return f"Uncertainty: {sure}. Comparison with a prior: no prior given."
