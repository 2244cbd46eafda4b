"""What ``medai models`` prints for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def size(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def list_lines(found: dict[str, Any]) -> Iterator[str]:
    """Give the lines of ``medai models list``."""
    for model in found["models"]:
        yield _model_line(model)
    if not found["models"]:
        yield "  no models: 'medai models catalogue' lists what can be installed"
    for name, reason in found["broken"].items():
        yield f"  {name:<28} cannot be used: {reason}"


def search_lines(found: dict[str, Any]) -> Iterator[str]:
    """Give the lines of ``medai models search`` and ``medai models catalogue``."""
    for model in found.get("models", ()):
        yield _model_line(model)
    for entry in found["catalogue"]:
        state = "installed" if entry["installed"] else "cannot run" if entry["cannot_run"] else "catalogue"
        yield f"  {entry['id']:<38} {entry['modality']:<3} {state:<10} {entry['title']}"
    if not found.get("models") and not found["catalogue"]:
        yield "  nothing found"


def one_lines(found: dict[str, Any]) -> Iterator[str]:
    """Give the lines of ``medai models show``."""
    if "catalogue" in found:
        yield from _entry_lines(found["catalogue"])
        return
    model = found["model"]
    about = model["description"]
    yield f"{model['id']} {model['version']}: {model['title']}"
    yield about["summary"]
    yield f"  intended use   {about['intended_use']}"
    yield from (f"  limit          {limit}" for limit in about["limits"])
    yield f"  training data  {about['training_data']}"
    yield f"  licence        {about['licence']}"
    yield from (f"  accepted       {a['licence']} on {a['date']}" for a in model["accepted"])
    yield f"  modality       {about['modality'] or 'any'}"
    yield f"  format         {model['format']}, {size(model['bytes_on_disk'])}"
    if origin := model["origin"]:
        yield f"  from           {origin['kind']} {origin['name']}, {origin['date']}"
    yield from (f"  trusted        {t['what']}, on {t['date']}" for t in model["trusted"])
    yield from (f"  file           {f['path']} {size(f['bytes'])} SHA-256 {f['sha256']}" for f in model["files"])
    yield from (f"  {s['label']:5d} {s['name']}" for s in model["structures"])


def _entry_lines(entry: dict[str, Any]) -> Iterator[str]:
    yield f"{entry['id']}: {entry['title']} (not installed)"
    yield entry["summary"]
    yield f"  licence        {entry['licence']} {entry['licence_url']}".rstrip()
    yield f"  modality       {entry['modality'] or 'any'}"
    yield f"  format         {entry['format']}, version {entry['version'] or 'unknown'}"
    yield f"  structures     {entry['labels'] if entry['labels'] else 'not stated'}"
    yield f"  address        {entry['url']}"
    yield f"  checked        {entry['vouched']}"
    if entry["citation"]:
        yield f"  cite           {entry['citation']}"
    yield f"  CANNOT RUN     {entry['cannot_run']}" if entry["cannot_run"] else f"  medai models install {entry['id']}"


def _model_line(model: dict[str, Any]) -> str:
    place = "yours" if model["own"] else "MedAI's"
    return (
        f"  {model['id']:<28} {model['version']:<8} {model['format']:<13} {size(model['bytes_on_disk']):>9} "
        f"{place:<8} {model['title']}"
    )
