"""From a model and a data set to a folder with its assessment; what ``medai models measure`` does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.errors import InputError
from medai.core.io import read_labelmap
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from ..models import ModelStore
from ..training.dataset import CaseFiles, open_dataset
from .choice import HELD_BACK, choose
from .figure import require_matplotlib
from .inputs import OutsideInput, from_folder, generated
from .measure import measure_model, read_image
from .outside import measure_outside
from .result import FILE, Assessment
from .settings import MeasureSettings
from .write import write_assessment

GENERATED = "generated"


def assess(
    model: str,
    data: str | Path,
    out: str | Path,
    *,
    which: str = HELD_BACK,
    outside: str = "",
    settings: MeasureSettings | dict[str, Any] | None = None,
    pictures: bool = True,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Assessment:
    """Measure a model on a data set and write all files of the assessment.

    Parameters
    ----------
    model : str
        Id of a model, or a model's folder or file.
    data : path
        A data set; see :func:`medai.segment.training.dataset.open_dataset`.
    out : path
        Folder for the files; a run that was stopped goes on there.
    which : str
        ``held-back``, ``all``, or a text file with one case a line; see
        :func:`medai.segment.assessment.choice.choose`.
    outside : str
        ``generated``: inputs outside the domain are made from the first case with a result; a folder: its images are
        taken too; empty: none.
    settings : MeasureSettings or dict, optional
        All defaults if not given.
    pictures : bool
        False draws none.

    Raises
    ------
    InputError
        If the data set or the choice cannot be used; before anything is measured.
    ModelError, DependencyError, OutputError
        If the model, a package or the folder cannot be used.
    Cancelled
        If somebody asked to stop; finished cases stay in ``out``.
    """
    token = cancel or CancelToken()
    chosen = MeasureSettings.parse(settings, where="measure")
    if pictures:
        require_matplotlib()
    info = ModelStore().find(model, cancel=token)
    place = Path(data)
    cases, about = choose(open_dataset(place), which, info.folder, name=_name(place))
    given = from_folder(outside) if outside not in ("", GENERATED) else []
    measured = 0.75 if outside else 0.9
    found = measure_model(
        model, cases, settings=chosen, out=out, data=about, progress=sub_progress(progress, 0.0, measured),
        cancel=token,
    )  # fmt: skip
    if outside:
        inputs = [*_made(found, cases, info.manifest.description.modality, chosen), *given]
        rows = measure_outside(
            model, inputs, settings=chosen, progress=sub_progress(progress, measured, 0.9), cancel=token
        )
        found = found.replace(outside=rows)
    found = found.replace(commands=_commands(model, info.id, place, out, which, outside, chosen))
    return write_assessment(
        found, out, cases, pictures=pictures, progress=sub_progress(progress, 0.9, 1.0), cancel=token
    )


def _made(
    found: Assessment, cases: Sequence[CaseFiles], modality: str, settings: MeasureSettings
) -> list[OutsideInput]:
    """Return the inputs that are made from the first case with a result."""
    for files in cases:
        if files.case not in found.failures:
            return generated(read_image(files), read_labelmap(files.label_file), modality, seed=settings.seed)
    raise InputError("No case has a result, so no inputs outside the domain can be made of one.")


def _commands(
    model: str, id: str, data: Path, out: str | Path, which: str, outside: str, settings: MeasureSettings
) -> tuple[str, ...]:
    """Return the commands, with the last parts of paths only: where something lies differs from place to place."""
    name, folder = id if model == id else Path(model).name, _name(Path(out))
    words = ["medai", "models", "measure", name, "--data", _name(data), "--out", folder]
    words += ["--cases", which if which == HELD_BACK or not Path(which).is_file() else Path(which).name]
    if outside:
        words += ["--outside", outside if outside == GENERATED else _name(Path(outside))]
    usual = MeasureSettings().running()
    for key, value in settings.running().items():
        if value != usual[key]:
            words += [f"--{key}", str(value)]
    return shlex.join(words), shlex.join(["medai", "models", "card", name, "--assessment", f"{folder}/{FILE}"])


def _name(path: Path) -> str:
    return path.name or path.resolve().name
