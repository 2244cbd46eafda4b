"""One case: an image and a protocol in, a label map, features and a report out."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medai.core.atomic import ensure_folder
from medai.core.errors import InputError, OutputError
from medai.core.io import read_volume, write_labelmap
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.provenance import software_provenance
from medai.core.qc import Severity
from medai.core.volume import Volume
from medai.features import FeatureTable, extract
from medai.features.volumetry import Derived, add_derived
from medai.report import Report, build_report, render
from medai.segment.pipeline import run
from medai.segment.recipes import expectation_flags

from .protocol import Protocol

OUTPUTS = frozenset({"segmentation.nii.gz", "features.csv", "report.json", "report.html", "scene.mrb"})
"""Names of the files that a case may write."""
Extra = Callable[[Volume, LabelMap, FeatureTable, Report, Path], None]
"""Writes more files into the staged folder: (image, labels, features, report, folder)."""


@dataclass(frozen=True)
class CaseResult:
    """What a case gave.

    Parameters
    ----------
    labels, features, report
        The results in memory.
    files : dict of str to Path
        What was written, by kind.
    seconds : float
        Time from reading to the last file.
    """

    labels: LabelMap
    features: FeatureTable
    report: Report
    files: dict[str, Path]
    seconds: float


def run_case(
    image: str | Path,
    protocol: Protocol,
    out: str | Path,
    *,
    name: str = "",
    series_uid: str | None = None,
    frame: int | None = None,
    allow_error_flags: bool = False,
    extra: Extra | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> CaseResult:
    """Run a protocol on one image and write everything it gives.

    The files are made in a hidden folder inside ``out`` and moved into place when all of them are complete; a run that
    fails or is cancelled leaves ``out`` as it was.

    Parameters
    ----------
    image : path
        An image file or a DICOM series folder.
    protocol : Protocol
        As :func:`~medai.cohort.protocol.load_protocol` gives it.
    out : path
        Output folder; made if missing.
    name : str
        Name of the image in the report; none by default, because file names often hold patients' names.
    series_uid : str, optional
        Which series, if a DICOM folder holds several.
    frame : int, optional
        Which frame of a 4D image, page of a TIFF or slice of a series, from 0.
    allow_error_flags : bool
        Measure in spite of quality flags of severity ERROR; the flags stay in the report.
    extra : callable
        Writes more files, see :data:`Extra`.

    Raises
    ------
    OutputError
        If ``out`` cannot be written, is the folder of the input, or a result would replace the input; found out before
        anything is computed.
    InputError
        If the image cannot be used, or has quality errors that are not allowed.
    """
    token = cancel or CancelToken()
    started = time.monotonic()
    source = Path(image)
    target = Path(out)
    if source.exists() and source.is_dir() and target.exists() and source.resolve() == target.resolve():
        raise OutputError("The output folder is the folder of the input.", hint="Choose another output folder.")
    if source.parent.resolve() == target.resolve() and source.name in OUTPUTS:
        raise OutputError(
            f"The result {source.name!r} would replace the input image.", hint="Choose another output folder."
        )
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        target = ensure_folder(target)
        blocked = sorted(name for name in OUTPUTS if (target / name).is_dir())
        if blocked:
            raise OutputError(f"Cannot write {blocked[0]!r}: a folder of that name exists.")
        staging = Path(tempfile.mkdtemp(prefix=".medai-run-", dir=target))
        try:
            return _run(
                source, protocol, target, staging, name, series_uid, frame, allow_error_flags, extra, progress, token,
                started,
            )  # fmt: skip
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except BaseException:
        for folder in made:
            _remove_if_empty(folder)
        raise


def _run(
    source: Path, protocol: Protocol, target: Path, staging: Path, name: str, series_uid: str | None,
    frame: int | None, allow_error_flags: bool, extra: Extra | None, progress: ProgressFn, token: CancelToken,
    started: float,
) -> CaseResult:  # fmt: skip
    times: dict[str, float] = {}

    def timed(step: str, since: float) -> float:
        now = time.monotonic()
        times[step] = round(now - since, 3)
        return now

    progress(0.0, "reading the image")
    volume = read_volume(source, series_uid=series_uid, frame=frame).replace(name=name)
    volume.require_scalar("A protocol")
    volume = volume.with_flags(*expectation_flags(volume, protocol.modality, protocol.hounsfield))
    errors = [flag for flag in volume.flags if flag.severity is Severity.ERROR]
    if errors and not allow_error_flags:
        raise InputError(
            f"The image has a quality error: {errors[0].message}",
            hint="Use another image or protocol, or allow measuring in spite of quality errors "
            "(--allow-quality-errors).",
            code=errors[0].code,
        )
    clock = timed("read", started)
    token.check()
    labels = run(
        volume, [s.to_dict() for s in protocol.pipeline], progress=sub_progress(progress, 0.02, 0.7), cancel=token
    )
    clock = timed("segment", clock)
    settings = {**protocol.features, "allow_error_flags": allow_error_flags}
    features = extract(volume, labels, settings, progress=sub_progress(progress, 0.7, 0.8), cancel=token)
    features = add_derived(features, labels, Derived.parse(protocol.derived, where="derived"), _reasons(labels))
    clock = timed("measure", clock)
    report = build_report(
        volume, labels, features, protocol=protocol.to_dict(), provenance=software_provenance(),
        model=labels.meta.get("model"), times=times, progress=sub_progress(progress, 0.8, 0.9), cancel=token,
    )  # fmt: skip
    token.check()
    progress(0.9, "writing the results")
    write_labelmap(labels, staging / "segmentation.nii.gz", cancel=token)
    features.to_csv(staging / "features.csv")
    render(report, "json", staging / "report.json")
    render(report, "html", staging / "report.html")
    if extra is not None:
        extra(volume, labels, features, report, staging)
    token.check()
    files = {}
    for path in sorted(staging.iterdir()):
        try:
            path.replace(target / path.name)
        except OSError as error:
            raise OutputError(f"Cannot write {path.name!r}: {error.strerror}.") from error
        files[path.name] = target / path.name
    progress(1.0, "done")
    return CaseResult(labels, features, report, files, round(time.monotonic() - started, 3))


def _reasons(labels: LabelMap) -> dict[str, str]:
    """Return why segments that a step was to make are not there, by their names."""
    missing = [flag for flag in labels.flags if flag.code == "PARTIAL_RUN" and flag.affects != "image"]
    return {flag.affects: flag.message.rstrip(".") for flag in missing}


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass
