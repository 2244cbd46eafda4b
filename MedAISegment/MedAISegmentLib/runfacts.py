"""What a network's run tells of itself, as lines for people."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

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
    if facts.get("fallback"):
        lines.append(_("Fallback: {text}").format(text=facts["fallback"]))
    return [*lines, *trustLines(info)]


def trustLines(info: dict[str, Any]) -> list[str]:
    """Return the trust number of each segment that has one."""
    trust = info.get("trust")
    if not isinstance(trust, dict):
        return []
    lines = []
    for name, value in trust.items():
        number = value.get("trust") if isinstance(value, dict) else value
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            lines.append(_("Trust in {name}: {number:.2f}").format(name=name, number=number))
    return lines
