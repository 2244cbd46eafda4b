"""``medai info``: versions, device, models, and what is unavailable and why."""

from __future__ import annotations

from typing import Any

from .run import JsonFlag
from .shell import RESEARCH_USE, emit, guarded, say


def info_command(json: JsonFlag = False) -> None:
    """Show versions, device, models, and what is unavailable and why."""
    facts = guarded(lambda token: gather(), as_json=json)
    if json:
        emit(facts)
        return
    say(f"MedAI {facts['software'].get('medai', '')}. {RESEARCH_USE}")
    for key, value in facts["software"].items():
        if key != "medai":
            say(f"  {key:<12} {_flat(value)}")
    say(f"  {'device':<12} {facts['device']}")
    say("Models")
    for model in facts["models"]:
        say(f"  {model['id']:<14} {model['version']:<8} {model['title']}")
    for name, reason in facts["broken_models"].items():
        say(f"  {name:<14} cannot be used: {reason}")
    say(f"Protocols: {', '.join(facts['protocols'])}")
    for kind, members in facts["members"].items():
        say(f"{kind.capitalize()}: {', '.join(members['available'])}")
        for name, reason in members["unavailable"].items():
            say(f"  {name} is unavailable: {reason}")


def gather() -> dict[str, Any]:
    """Return everything ``medai info`` shows, JSON-ready."""
    from medai.cohort.protocol import shipped_protocols
    from medai.core.provenance import software_provenance
    from medai.features.families import FAMILIES
    from medai.report import RENDERERS
    from medai.segment.backends import BACKENDS
    from medai.segment.formats import FORMATS
    from medai.segment.models import ModelStore
    from medai.segment.preprocess import PREPROCESS
    from medai.segment.segmenters import SEGMENTERS

    store = ModelStore()
    registries: tuple[Any, ...] = (PREPROCESS, SEGMENTERS, FORMATS, BACKENDS, FAMILIES, RENDERERS)
    return {
        "research_use_only": True,
        "software": software_provenance(),
        "device": _device(),
        "models": [
            {"id": m.id, "version": m.manifest.version, "title": m.title, "sha256": m.manifest.weights_sha256}
            for m in store.list()
        ],
        "broken_models": store.broken(),
        "protocols": shipped_protocols(),
        "members": {
            registry.kind: {
                "available": registry.names(),
                "unavailable": {item.name: item.reason for item in registry.unavailable()},
            }
            for registry in registries
        },
    }


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "none: torch is not installed"
    from medai.segment.backends._hardware import devices

    name = next(name for name, reason in devices().items() if not reason)
    return f"{name} ({torch.cuda.get_device_name()})" if name == "cuda" else name


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_flat(v)}" for k, v in value.items())
    return ", ".join(_flat(v) for v in value) if isinstance(value, list) else str(value)
