"""Left against right, for segments that state their side."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .model import Finding, SideComparison
from .quantity import Quantity

_SIDE_WORD = re.compile(r"\b(left|right)\b[\s_-]*", re.IGNORECASE)


def compare_sides(findings: Sequence[Finding]) -> tuple[SideComparison, ...]:
    """Return the pairs of structures, then totals of structures that come in parts.

    A pair is two segments whose names differ by the word left or right only; a total sums each side's segments of one
    type code.  The asymmetry index is 200 (L - R) / (L + R) %, positive if the left is larger.
    """
    sided = [f for f in findings if f.side != "not stated"]
    by_name: dict[str, list[Finding]] = {}
    by_type: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in sided:
        by_name.setdefault(_without_side(finding.segment), []).append(finding)
        if finding.type is not None:
            by_type.setdefault((finding.type.scheme, finding.type.value, finding.type.meaning), []).append(finding)
    rows = [_compare(name, group) for name, group in by_name.items() if _is_pair(group)]
    for (_, _, meaning), group in by_type.items():
        left = [_without_side(f.segment) for f in group if f.side == "left"]
        right = [_without_side(f.segment) for f in group if f.side == "right"]
        # Parts are summed only when both sides have the same ones.
        if len(left) > 1 and sorted(left) == sorted(right):
            rows.append(_compare(f"{meaning}, total", group))
    return tuple(rows)


def _is_pair(group: Sequence[Finding]) -> bool:
    return sorted(f.side for f in group) == ["left", "right"]


def _without_side(name: str) -> str:
    bare = _SIDE_WORD.sub("", name).strip(" ,_-") or name
    return bare[0].upper() + bare[1:]


def _compare(structure: str, group: Sequence[Finding]) -> SideComparison:
    sums = {"left": 0.0, "right": 0.0}
    for finding in group:
        # A segment without voxels has the volume 0, which its table calls undefined.
        sums[finding.side] += finding.volume.value or 0.0
    left, right = sums["left"], sums["right"]
    index = 200.0 * (left - right) / (left + right) if left > 0 and right > 0 else None
    return SideComparison(
        structure=structure,
        left=Quantity.of(left, "mm3"),
        right=Quantity.of(right, "mm3"),
        asymmetry=Quantity.of(index, "%", "one side is empty"),
    )
