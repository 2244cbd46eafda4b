"""From an image, its segments and their features to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.qc import QCFlag
from medai.core.settings import digest_json
from medai.core.volume import Volume
from medai.features import FAMILIES, FeatureTable
from medai.features.volumetry import FAMILY

from .exam import exam_facts
from .findings import make_findings
from .model import Banner, FeatureRow, Identity, ModelFacts, Provenance, Radiomics, Report, Task, Timing
from .quality import gather_flags, traffic_light
from .quantity import Quantity
from .sides import compare_sides
from .summary import make_summary
from .text import clean_json
from .volumes import make_volumes

DEFAULT_LIMITS = (
    "Segments and numbers are the output of software; they can be wrong without any flag being raised.",
    "Not validated for any clinical use.",
)


def build_report(
    volume: Volume,
    labels: LabelMap,
    features: FeatureTable,
    *,
    protocol: Mapping[str, Any],
    provenance: Mapping[str, Any],
    model: Mapping[str, Any] | None = None,
    flags: Sequence[QCFlag] = (),
    times: Mapping[str, float] | None = None,
    identity: Identity | None = None,
    created: datetime | None = None,
    pictures: bool = True,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Report:
    """Build a draft report.

    Nothing of the image but its grid, its voxels, its modality and an allow-list of acquisition facts reaches the
    report: not its name, not its file, not other metadata.

    Parameters
    ----------
    volume : Volume
        Scalar or RGB, shape (K, J, I[, 3]).
    labels : LabelMap
        On the image's grid; its ``meta`` (how it was made) goes into the provenance.
    features : FeatureTable
        Of these segments.
    protocol : mapping
        What was asked; JSON-ready.  ``title`` (or ``name``), ``question`` (or ``description``) and ``pipeline`` (a list
        of ``{"step": ...}``) are shown in words, all of it among the settings.
    provenance : mapping
        Software versions and machine, as :func:`medai.core.provenance.software_provenance` gives them.
    model : mapping, optional
        ``id``, ``title``, ``version``, ``licence``, ``sha256``, ``intended_use``, ``training_data``, ``citation``,
        ``limits``, ``metrics``; ``labels.meta["model"]`` if not given.
    flags : sequence of QCFlag
        Flags beyond those that image, labels and features carry.
    times : mapping of str to float
        Seconds a step took, by a monotonic clock.
    identity : Identity, optional
        A pseudonym made from the image's hash if not given.
    created : datetime, optional
        With time zone; now if not given.
    pictures : bool
        False leaves the key images out.

    Raises
    ------
    GeometryError
        If the grids differ.
    UnsupportedInput
        If the image is neither scalar nor RGB.
    ReportError
        If the table measures a segment that the label map does not have.
    Cancelled
        If somebody asked to stop.
    """
    token = cancel or CancelToken()
    token.check()
    volume.geometry.require_same(labels.geometry, "segmentation")
    facts = model if model is not None else labels.meta.get("model")
    findings = make_findings(volume, labels, features, pictures=pictures, progress=progress, cancel=token)
    gathered = gather_flags((*volume.flags, *labels.flags, *features.flags, *flags), findings)
    sides = compare_sides(findings)
    token.check()
    traced = _provenance(volume, labels, features, protocol, provenance, times or {})
    when = (created or datetime.now(timezone.utc)).astimezone(timezone.utc).replace(microsecond=0, tzinfo=None)
    stamp = f"{when.isoformat()}Z"
    report = Report(
        report_id=digest_json([stamp, traced.model_dump(mode="json")])[:16],
        created=stamp,
        banner=Banner(light=traffic_light(gathered)),
        identity=identity or Identity(pseudonym=f"Case {traced.image_sha256[:8].upper()}"),
        exam=exam_facts(volume),
        task=_task(protocol, facts),
        summary=make_summary(findings, sides, gathered),
        findings=findings,
        sides=sides,
        volumes=make_volumes(features),
        flags=gathered,
        radiomics=_radiomics(features),
        model=_model(facts),
        provenance=traced,
        limits=(*_texts((facts or {}).get("limits")), *DEFAULT_LIMITS),
    )
    progress(1.0, "Report")
    return report


def _task(protocol: Mapping[str, Any], model: Mapping[str, Any] | None) -> Task:
    steps = protocol.get("pipeline")
    listed = steps if isinstance(steps, (list, tuple)) else ()
    names = [item.get("step") for item in listed if isinstance(item, Mapping)]
    return Task(
        title=_first(protocol, "title", "name") or "Segmentation and measurement",
        question=_first(protocol, "question", "description"),
        intended_use=_first(model or {}, "intended_use"),
        steps=_texts(names),
    )


def _model(facts: Mapping[str, Any] | None) -> ModelFacts | None:
    if not facts:
        return None
    metrics = facts.get("metrics")
    return ModelFacts(
        id=_first(facts, "id") or "unnamed",
        metrics=dict(metrics) if isinstance(metrics, Mapping) else {},
        **{key: _first(facts, key) for key in ("title", "version", "licence", "sha256", "training_data", "citation")},
    )


def _radiomics(features: FeatureTable) -> Radiomics:
    titles = {info.name: info.title for family in FAMILIES.classes() for info in family.features()}
    rows = [
        FeatureRow(
            segment=row.segment,
            family=row.family,
            feature=row.feature,
            title=titles.get(row.feature, row.feature),
            ibsi=row.ibsi,
            quantity=Quantity.of(row.value, row.unit, row.reason),
        )
        for row in features.rows
        if row.family != FAMILY  # shown as volumes
    ]
    return Radiomics(settings=clean_json(dict(features.settings)), rows=tuple(rows))


def _provenance(
    volume: Volume,
    labels: LabelMap,
    features: FeatureTable,
    protocol: Mapping[str, Any],
    software: Mapping[str, Any],
    times: Mapping[str, float],
) -> Provenance:
    return Provenance(
        software=clean_json(dict(software)),
        protocol=clean_json(dict(protocol)),
        # The model has its own section.
        segmentation=clean_json({key: value for key, value in labels.meta.items() if key != "model"}),
        image_sha256=volume.digest(),
        labels_sha256=labels.digest(),
        features_sha256=digest_json(features.to_dict()),
        times=tuple(Timing(step=str(step), duration=Quantity.of(float(s), "s")) for step, s in times.items()),
    )


def _first(data: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        if isinstance(data.get(key), str) and data[key].strip():
            return str(data[key])
    return ""


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(v for v in values if isinstance(v, str) and v.strip()) if isinstance(values, (list, tuple)) else ()
