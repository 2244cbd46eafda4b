"""Files and folders of label maps, matched by case name."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from medai.core.errors import InputError, MedAIError
from medai.core.io import read_labelmap
from medai.core.io.formats import format_of, split_name
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from .result import Evaluation
from .score import Score, compare
from .settings import EvaluateSettings

_PICTURES = (".png", ".tif", ".tiff")


def evaluate_files(
    predicted: str | Path,
    reference: str | Path,
    settings: EvaluateSettings | dict[str, Any] | None = None,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Evaluation:
    """Compare two files, or two folders of same-named files.

    A case's name is its file name without the suffix, so ``a.nii.gz`` belongs to ``a.seg.nrrd``.  A case of a folder
    that cannot be read or compared is listed under ``failures``; the others go on.

    Parameters
    ----------
    predicted, reference : path
        Label maps in NIfTI, NRRD (with segment names in ``.seg.nrrd``) or MetaImage files.  A folder that holds none
        of these may hold PNG or TIFF files.  Hidden files and other files are passed over.
    settings : EvaluateSettings or dict, optional
        All defaults if not given.

    Raises
    ------
    InputError
        If a file or folder is missing, a name occurs in one folder only (all such names are listed), or one folder
        has two files for a case (both are named).
    GeometryError
        If two files are given, their grids differ and ``settings.resample`` is not set.
    SettingsError
        If the settings are not valid.
    Cancelled
        If somebody asked to stop.
    """
    token = cancel or CancelToken()
    chosen = EvaluateSettings.parse(settings, where="evaluate")
    pred, ref = Path(predicted), Path(reference)
    for path in (pred, ref):
        if not path.exists():
            raise InputError(f"There is no file or folder {path.name!r}.", hint="Check the path.")
    if pred.is_dir() != ref.is_dir():
        raise InputError("Give two files, or two folders; not one of each.")
    if not ref.is_dir():
        case = split_name(ref)[0]
        ours, theirs = read_labelmap(pred), read_labelmap(ref)
        return Evaluation(tuple(compare(ours, theirs, chosen, case=case, progress=progress, cancel=token)), {}, chosen)
    files = [find_cases(pred), find_cases(ref)]
    alone = [sorted(set(one) - set(other)) for one, other in (files, files[::-1])]
    if any(alone):
        sides = (f"{_some(names)} only in {p.name!r}" for names, p in zip(alone, (pred, ref), strict=True) if names)
        raise InputError(f"The folders do not hold the same cases: {'; '.join(sides)}.", hint="Names must be the same.")
    if not files[0]:
        raise InputError(f"{pred.name!r} and {ref.name!r} hold no label maps.", hint="Check the folders.")
    scores: list[Score] = []
    failures: dict[str, str] = {}
    for index, case in enumerate(sorted(files[0])):
        token.check()
        part = sub_progress(progress, index / len(files[0]), (index + 1) / len(files[0]))
        part(0.0, case)
        try:
            ours, theirs = read_labelmap(files[0][case]), read_labelmap(files[1][case])
            scores += compare(ours, theirs, chosen, case=case, progress=part, cancel=token)
        except MedAIError as error:
            failures[case] = str(error)
    progress(1.0, "")
    return Evaluation(tuple(scores), failures, chosen)


def find_cases(folder: str | Path) -> dict[str, Path]:
    """Return the label map files of a folder by case name (NFC), sorted.

    Raises
    ------
    InputError
        If two files have the same case name; both are named.
    """
    place = Path(folder)
    paths = sorted(p for p in place.iterdir() if not p.name.startswith(".") and p.is_file())
    volumes = [p for p in paths if format_of(p) in ("nifti", "nrrd", "meta")]
    found: dict[str, Path] = {}
    for path in volumes or [p for p in paths if split_name(p)[1] in _PICTURES]:
        case = unicodedata.normalize("NFC", split_name(path)[0])
        if case in found:
            raise InputError(
                f"{place.name!r} holds two files for the case {case!r}: {found[case].name!r} and {path.name!r}.",
                hint="Keep one of them.",
            )
        found[case] = path
    return dict(sorted(found.items()))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
