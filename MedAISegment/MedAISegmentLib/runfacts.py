"""What a network's run tells of itself, as lines for people."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

MOST_LINES = 8
NAMES = {"torch": "PyTorch", "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}
PRECISIONS = {"f32": _("single precision"), "f16": _("half precision (f16)"), "bf16": _("half precision (bf16)")}


def runLines(info: dict[str, Any]) -> list[str]:
    """Return what ran where, why not elsewhere, and how sure it is; nothing for a run without a network."""
    facts = info.get("inference")
    if not isinstance(facts, dict):
        return []
    where = facts.get("device_name") or str(facts.get("device", "")).upper()
    parts = [
        NAMES.get(facts.get("backend", ""), facts.get("backend", "")),
        where,
        PRECISIONS.get(facts.get("precision")),
    ]
    lines = [_("Network: {parts}.").format(parts=", ".join(part for part in parts if part))]
    if facts.get("windows"):
        lines[0] += " " + _("{count} windows.").format(count=facts["windows"])
    if facts.get("fallback"):  # a smaller window or another device is among the notes
        lines.append(_("Fallback: {text}").format(text=facts["fallback"]))
    return [*lines, *trustLines(info)]


def trustLines(info: dict[str, Any]) -> list[str]:
    """Return the trust number of each segment that has one, the lowest first; of many segments only the lowest."""
    trust = info.get("trust")
    if not isinstance(trust, dict):
        return []
    numbers = {name: item.get("value") for name, item in trust.items() if isinstance(item, dict)}
    found = sorted((value, name) for name, value in numbers.items() if isinstance(value, (int, float)))
    lines = [
        _("Trust in {name}: {number:.2f} (not calibrated)").format(name=name, number=value)
        for value, name in found[:MOST_LINES]
    ]
    left = len(found) - MOST_LINES
    return [*lines, _("and {count} more, all higher").format(count=left)] if left > 0 else lines
