"""Reporting as a task that a worker process can run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from medai.core.atomic import ensure_folder
from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag
from medai.core.settings import Settings
from medai.core.volume import Volume
from medai.features import FeatureTable

from .build import build_report
from .model import Identity
from .renderer import RENDERERS


class RenderSettings(Settings):
    """What to report, and the files to write."""

    folder: str = Field(min_length=1, description="Output folder; made if it does not exist.")
    stem: str = Field("report", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="File name without suffix.")
    renderers: tuple[str, ...] = Field(("json", "html"), description="Names of the renderings to write.")
    pictures: bool = Field(True, title="Key images", description="Draw key images.")
    protocol: dict[str, Any] = Field(default_factory=dict, description="What was asked; see build_report.")
    provenance: dict[str, Any] = Field(default_factory=dict, description="Software versions and machine.")
    model: dict[str, Any] | None = Field(None, description="Facts about the model; the segmentation's own if empty.")
    flags: tuple[dict[str, Any], ...] = Field((), description="More quality flags.")
    times: dict[str, float] = Field(default_factory=dict, description="Seconds by step.")
    identity: Identity | None = Field(None, description="Whom the image shows; a pseudonym if empty.")


def render(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Build a report and write its renderings.

    The output folder and the renderers are checked before anything is computed; no file is written before the report
    is complete.

    Parameters
    ----------
    inputs : dict
        ``volume``: Volume; ``labels``: LabelMap; ``features``: what :meth:`FeatureTable.to_dict` gives.
    settings : dict
        Of :class:`RenderSettings`.

    Returns
    -------
    dict
        ``files``: path by renderer; ``report_id``, ``light`` and ``summary`` of the report.

    Raises
    ------
    InputError
        If an input is missing or of another kind.
    SettingsError, DependencyError
        If the settings are wrong or a renderer cannot run here.
    OutputError
        If the folder cannot be written to.
    """
    parsed = RenderSettings.parse(settings, where="report")
    volume, labels, table = inputs.get("volume"), inputs.get("labels"), inputs.get("features")
    if not isinstance(volume, Volume) or not isinstance(labels, LabelMap) or not isinstance(table, dict):
        raise InputError("A report needs the inputs 'volume' (an image), 'labels' (a segmentation) and 'features'.")
    features = FeatureTable.from_dict(table)
    flags = _flags(parsed)
    renderers = [RENDERERS.create(name) for name in dict.fromkeys(parsed.renderers)]
    folder = ensure_folder(parsed.folder)
    report = build_report(
        volume,
        labels,
        features,
        protocol=parsed.protocol,
        provenance=parsed.provenance,
        model=parsed.model,
        flags=flags,
        times=parsed.times,
        identity=parsed.identity,
        pictures=parsed.pictures,
        progress=sub_progress(progress, 0.0, 0.9),
        cancel=cancel,
    )
    files: dict[str, str] = {}
    for renderer in renderers:
        cancel.check()
        files[renderer.name] = str(renderer.write(report, Path(folder) / f"{parsed.stem}{renderer.suffix}"))
    progress(1.0, "Report")
    return {
        "files": files,
        "report_id": report.report_id,
        "light": report.banner.light,
        "summary": list(report.summary),
    }


def _flags(settings: RenderSettings) -> list[QCFlag]:
    try:
        return [QCFlag.from_dict(flag) for flag in settings.flags]
    except (TypeError, ValueError) as error:
        raise InputError(f"A quality flag of the report cannot be read: {error}.") from None
