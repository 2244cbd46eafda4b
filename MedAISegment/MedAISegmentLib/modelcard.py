"""What people must know of a model before they use it: a tool tip, and a card of a page."""

from __future__ import annotations

import html
from typing import Any

from slicer.i18n import tr as _

from MedAISegmentLib.modelentries import ModelEntry, originOf

LONGEST_LIST = 40


def tipOf(entry: ModelEntry) -> str:
    """Return a model's tool tip: plain words in HTML, whatever its manifest holds."""
    lines = [f"<b>{html.escape(entry.title)}</b> ({html.escape(entry.id)}), {html.escape(originOf(entry))}"]
    if entry.info is not None:
        about = entry.info.manifest.description
        lines += [html.escape(about.summary), _("Licence: {name}").format(name=html.escape(about.licence))]
    if entry.needs:
        lines.append(_("The first run installs {names}.").format(names=html.escape(", ".join(entry.needs))))
    if entry.reason:
        lines.append(_("Cannot be used: {reason}").format(reason=html.escape(entry.reason)))
    return "<br>".join(lines)


def cardOf(entry: ModelEntry) -> str:
    """Return a model's card as HTML; everything that its manifest says is shown as text."""
    if entry.info is None:
        return _section(_("Cannot be used"), html.escape(entry.reason))
    manifest = entry.info.manifest
    about = manifest.description
    size = sum(item.bytes for item in (*manifest.weights, *manifest.files)) / 2**20
    facts = _("Version {version}, format {format}, {members} network(s), {size:.1f} MiB, {origin}.").format(
        version=manifest.version,
        format=manifest.format,
        members=len(manifest.weights),
        size=size,
        origin=originOf(entry),
    )
    names = [label.name for label in manifest.labels]
    listed = ", ".join(names[:LONGEST_LIST]) + (", ..." if len(names) > LONGEST_LIST else "")
    parts = [
        f"<h3>{html.escape(about.title)}</h3><p>{html.escape(about.summary)}</p><p>{html.escape(facts)}</p>",
        _section(_("Intended use"), html.escape(about.intended_use)),
        _section(_("Limits"), _bullets(about.limits)),
        _section(_("Segments ({count})").format(count=len(names)), html.escape(listed)),
        _section(_("Training data"), html.escape(about.training_data)),
        _section(_("Metrics"), _bullets(_lines(manifest.metrics))),
        _section(_("Licence"), html.escape(about.licence)),
        _section(_("Citation"), html.escape(about.citation)),
    ]
    if entry.reason:
        parts.insert(1, _section(_("Cannot be used"), html.escape(entry.reason)))
    return "".join(parts)


def _section(heading: str, body: str) -> str:
    return f"<p><b>{html.escape(heading)}</b><br>{body}</p>" if body else ""


def _bullets(lines: Any) -> str:
    return "<br>".join(f"&bull; {html.escape(str(line))}" for line in lines)


def _lines(value: Any, name: str = "") -> list[str]:
    """Return nested metrics as lines ``a, b: 0.9``."""
    if isinstance(value, dict):
        return [line for key, part in value.items() for line in _lines(part, f"{name}, {key}" if name else str(key))]
    if isinstance(value, (list, tuple)) and any(isinstance(part, (dict, list, tuple)) for part in value):
        return [line for n, part in enumerate(value, start=1) for line in _lines(part, f"{name} {n}")]
    if isinstance(value, (list, tuple)):
        value = " - ".join(_short(part) for part in value)
    return [f"{name}: {_short(value)}".replace("_", " ")]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
