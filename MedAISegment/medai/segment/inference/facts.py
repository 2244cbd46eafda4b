"""What provenance and the report must say about a model."""

from __future__ import annotations

from typing import Any

from ..models.info import ModelInfo


def model_facts(model: ModelInfo) -> dict[str, Any]:
    """Return what provenance and the report must say about a model, JSON-ready."""
    m = model.manifest
    return {
        "id": m.id,
        "version": m.version,
        "format": m.format,
        "title": m.description.title,
        "sha256": m.weights_sha256,
        "licence": m.description.licence,
        "intended_use": m.description.intended_use,
        "training_data": m.description.training_data,
        "citation": m.description.citation,
        "limits": list(m.description.limits),
        "metrics": dict(m.metrics),
    }
