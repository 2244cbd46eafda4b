"""Segmenting case after case: the model stays loaded, one bad image does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cases import Case

MAPS = ("entropy", "agreement", "mutual_information")
"""Maps of uncertainty that a model may give."""

MAPS = ("entropy", "agreement", "mutual_information")
"""Maps of uncertainty that a model may give."""


@dataclass(frozen=True)
class Job:
    """What is done with every case.

    Parameters
    ----------
    pipeline : Pipeline
        The steps.
    expected : tuple of (str, bool)
        Modality and whether Hounsfield units are expected.
    start : Path, optional
        Label map to start from.
    series_uid : str, optional
        Which series of a DICOM folder.
    maps : bool
        The pipeline is one model step, and its maps of uncertainty are written.
    """

    pipeline: Any
    expected: tuple[str, bool]
    start: Path | None
    series_uid: str | None
    maps: bool


def segment_cases(cases: Sequence[Case], folder: Path | None, job: Job, *, progress: Any, cancel: Any) -> list[Any]:
    """Segment every case and return what each gave, JSON-ready.

    Parameters
    ----------
    folder : Path, optional
        Output folder of a folder of images; it is made if it is missing.  Then, and for frames, a case that fails has
        an ``error`` instead of a result; a single case raises.

    Raises
    ------
    OutputError
        If an output cannot be written, would replace an input, or is being written by another run; found out before
        anything is computed.
    """
    from .outputs import one_writer, require_folder, require_writable

    if folder is not None:
        require_folder(folder)
    inputs = {file for case in cases for file in case.files} | ({job.start} if job.start else set())
    for case in cases:
        for out in (case.out, *(case.beside(name) for name in MAPS if job.maps)):
            require_writable(out, *inputs)
    with one_writer(folder or cases[0].out):
        return _each(cases, folder, job, progress, cancel)


def _each(cases: Sequence[Case], folder: Path | None, job: Job, progress: Any, cancel: Any) -> list[Any]:
    from medai.core.errors import Cancelled
    from medai.core.progress import sub_progress
    from medai.core.task import translated

    results = []
    for index, case in enumerate(cases):
        part = sub_progress(progress, index / len(cases), (index + 1) / len(cases))
        try:
            results.append(_segment(case, job, part, cancel))
        except Cancelled:
            raise
        except Exception as error:
            if len(cases) == 1 and folder is None:
                raise
            results.append({"case": case.name, "error": translated(error, "this image").to_dict()})
    return results


def _segment(case: Case, job: Job, progress: Any, cancel: Any) -> dict[str, Any]:
    from medai.core.io import read_labelmap, write_labelmap, write_volume
    from medai.core.progress import sub_progress
    from medai.segment.pipeline import run
    from medai.segment.recipes import expectation_flags
    from medai.segment.segmenters.unet import UNetSettings, predict

    volume = case.read(job.series_uid)
    volume = volume.with_flags(*expectation_flags(volume, *job.expected))
    start = read_labelmap(job.start) if job.start else None
    part = sub_progress(progress, 0.05, 0.95)
    maps: dict[str, Any] = {}
    if job.maps:
        settings = UNetSettings.parse(job.pipeline.steps[0].settings, where="options")
        result = predict(volume, settings, progress=part, cancel=cancel)
        found, maps = result.labels, result.maps
    else:
        found = run(volume, job.pipeline, labels=start, progress=part, cancel=cancel)
    cancel.check()
    files = {name: case.beside(name) for name in maps}
    made = [path for path in files.values() if not path.exists()]
    try:
        for name, path in files.items():
            write_volume(maps[name], path, cancel=cancel)
        write_labelmap(found, case.out, cancel=cancel)
    except BaseException:  # maps without their labels would be half a result
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return {
        "research_use_only": True,
        "case": case.name,
        "labels": {str(s.label): s.name for s in found.segments},
        "volumes_ml": found.volumes_ml(),
        "flags": [flag.to_dict() for flag in dict.fromkeys((*volume.flags, *found.flags))],
        "info": dict(found.meta),
        "file": str(case.out),
        "maps": {name: str(path) for name, path in files.items()},
    }
