"""Saving a case as a Slicer scene; the only place where the command line touches MRML."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.features import FeatureTable
from medai.report import Report


def scene_available() -> bool:
    """Tell whether slicer-core (or a Slicer) is here."""
    return importlib.util.find_spec("slicer") is not None


def save_scene(volume: Volume, labels: LabelMap, features: FeatureTable, report: Report, folder: Path) -> None:
    """Write ``scene.mrb`` with the image, the segmentation and the feature table, each with its provenance."""
    from medai.mrml import HeadlessSession, labels_to_segmentation, stamp, table_to_node, volume_to_node

    provenance = {"image_sha256": volume.digest(), "research_use_only": True, **_model(labels)}
    with HeadlessSession() as session:
        image = volume_to_node(volume, session.scene, volume.name or "Image")
        segmentation = labels_to_segmentation(labels, session.scene, "Segmentation", reference=image)
        table = table_to_node(features.to_table(), session.scene)
        for node in (image, segmentation, table):
            stamp(node, {**provenance, "report_id": report.report_id})
        session.save(folder / "scene.mrb")


def _model(labels: LabelMap) -> dict[str, str]:
    model = labels.meta.get("model")
    return {f"model_{key}": str(model[key]) for key in ("id", "version", "sha256")} if isinstance(model, dict) else {}
