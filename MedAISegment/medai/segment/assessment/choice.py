"""Which cases a model is measured on: those it never saw, all, or a list."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.errors import InputError, SettingsError

from ..training.dataset import CaseFiles, DataSet, named
from ..training.folds import SPLIT_FILE, Split

HELD_BACK, ALL = "held-back", "all"


def choose(
    found: DataSet, which: str, model_folder: Path, *, name: str
) -> tuple[tuple[CaseFiles, ...], dict[str, Any]]:
    """Return the chosen cases, sorted by name, and what an assessment says of them.

    Parameters
    ----------
    found : DataSet
        The data set.
    which : str
        ``held-back``: those that the model's ``split.json`` names; ``all``: every case with a label map; else a text
        file with one name a line (empty lines and lines that begin with ``#`` are passed over).
    model_folder : Path
        Where ``split.json`` may be.
    name : str
        Name of the data set, for the assessment.

    Raises
    ------
    InputError
        If the model has no such file or held nothing back, the data set lacks a case, or a list names one twice.
    """
    split = read_split(model_folder)
    if which == HELD_BACK:
        if split is None:
            raise InputError(
                f"The model {model_folder.name!r} has no {SPLIT_FILE}, so nobody knows which cases it never saw.",
                hint="Measure it with 'all' or a list of cases.",
            )
        wanted = list(split.held_back)
        if not wanted:
            raise InputError(
                f"The model {model_folder.name!r} held no case back.", hint="Measure it with a list of other cases."
            )
    elif which == ALL:
        wanted = [files.case for files in found.cases if files.labels is not None]
    else:
        wanted = _listed(Path(which))
    missing = sorted(set(wanted) - {files.case for files in found.cases})
    if missing:
        raise InputError(
            f"The data set {name!r} lacks {named(missing, 'case')}.",
            hint="Give the data set that the model was trained from, or another list of cases.",
        )
    chosen = found.only(wanted).cases
    bare = [files.case for files in chosen if files.labels is None]
    if bare:
        raise InputError(f"There is no label map for {named(bare, 'case')}.", hint="Add it, or leave the case out.")
    return chosen, {
        "name": name,
        "chosen": which if which in (HELD_BACK, ALL) else Path(which).name,
        "cases": len(chosen),
        "subjects": len({files.subject for files in chosen}),
        "seen_in_training": _seen(chosen, found, split),
    }


def read_split(model_folder: Path) -> Split | None:
    """Return who a model was trained on and who was held back; None if it has no ``split.json``.

    Raises
    ------
    InputError
        If the file is something else.
    """
    if not (model_folder / SPLIT_FILE).is_file():
        return None
    try:
        return Split.read(model_folder)
    except SettingsError as error:
        raise InputError(f"{model_folder.name}/{error.message}") from None


def _seen(chosen: Sequence[CaseFiles], found: DataSet, split: Split | None) -> int | None:
    """Count the cases whose subject the model was trained on."""
    if split is None:
        return None
    trained = set(split.training)
    subjects = {files.subject for files in found.cases if files.case in trained}
    return sum(files.subject in subjects for files in chosen)


def _listed(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"The list of cases {file.name!r} cannot be read: {error.strerror}.",
            hint=f"Give {HELD_BACK}, {ALL}, or a text file with one case a line.",
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"The list of cases {file.name!r} is not UTF-8 text.") from None
    names = [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines()]
    names = [n for n in names if n and not n.startswith("#")]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"The list {file.name!r} holds {named(twice, 'case')} more than once.")
    if not names:
        raise InputError(f"The list of cases {file.name!r} is empty.")
    return names
