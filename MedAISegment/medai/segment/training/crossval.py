"""Cross-validation: as many models as folds, each measured on the subjects that it never saw, pooled at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medai.core.atomic import ensure_folder, write_text
from medai.core.errors import InputError, OutputError, SettingsError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.settings import load_json_file

from ..assessment.result import FILE, Assessment, metrics_of
from .export import pretty
from .folds import SPLIT_FILE, Split, fold_subjects
from .recipe import Recipe
from .service import FOLDS, FOLDS_SCHEMA, train_model
from .sources import open_source
from .work import default_work, remove

FINAL = "final"


def cross_validate(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    folds: int,
    *,
    only: int | None = None,
    final: bool = False,
    version: str = "1.0.0",
    cache: str | Path | None = None,
    allow_empty: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Train and measure one model per fold; finished folds are skipped, a stopped one goes on.

    Parameters
    ----------
    recipe : Recipe
        Its ``held_back`` is not used: each fold holds its own subjects back.
    out : path
        Folder for ``fold-1``, ``fold-2``, ... and ``cross_validation.json``.
    folds : int
    only : int, optional
        Train this fold alone (from 1), for machines that share the work.
    final : bool
        In the end train one more model on all cases, in the folder ``final``; its card shows the folds' numbers.

    Returns
    -------
    dict
        ``folds`` (the metrics of each finished fold by its number), ``metrics`` of all cases together, and ``file``;
        the last two only when every fold is finished.

    Raises
    ------
    InputError
        If there are fewer subjects than folds, ``only`` is none of them, or ``out`` holds another cross-validation.
    OutputError, Cancelled
        As :func:`~medai.segment.training.service.train_model`.
    """
    if only is not None and not 1 <= only <= folds:
        raise InputError(f"There is no fold {only} of {folds}.", hint=f"Choose 1 to {folds}.")
    recipe = recipe.model_copy(update={"held_back": 0})
    source = open_source(recipe, data, allow_empty=allow_empty)
    splits = fold_subjects(source.cases, folds, recipe.seed)
    root = ensure_folder(out)
    chosen = [only] if only is not None else list(range(1, folds + 1))
    parts = len(chosen) + final
    common: dict[str, Any] = {"version": version, "cache": cache, "allow_empty": allow_empty, "cancel": cancel}
    for step, number in enumerate(chosen):
        part = sub_progress(progress, step / parts, (step + 1) / parts)
        if finished(root / f"fold-{number}", recipe, splits[number - 1]):
            part(1.0, f"fold {number} was finished before")
            continue
        train_model(
            recipe, data, root / f"fold-{number}", split=splits[number - 1], **common,
            tell=_named(tell, number), progress=_numbered(part, number, folds),
        )  # fmt: skip
    done = [n for n in range(1, folds + 1) if finished(root / f"fold-{n}", recipe, splits[n - 1])]
    found: dict[str, Any] = {"folds": {}}
    measured = [Assessment.read(root / f"fold-{n}" / FILE) for n in done]
    for number, assessment in zip(done, measured, strict=True):
        found["folds"][number] = metrics_of(assessment)
    if len(done) < folds:
        return found
    found["metrics"] = pooled(measured)
    text = pretty({
        "schema": FOLDS_SCHEMA, "research_use_only": True, "pooled": found["metrics"],
        "folds": [item.to_dict() for item in measured],
    })  # fmt: skip
    write_text(root / FOLDS, text)
    found["file"] = str(root / FOLDS)
    everything = Split(
        training=tuple(sorted(f.case for f in source.cases)), seed=recipe.seed, subjects=splits[0].subjects
    )
    if final and not finished(root / FINAL, recipe, everything):
        train_model(
            recipe, data, root / FINAL, split=everything, folds=tuple(measured), **common, tell=tell,
            progress=sub_progress(progress, (parts - 1) / parts, 1.0),
        )  # fmt: skip
    progress(1.0, "done")
    return found


def pooled(folds: list[Assessment]) -> dict[str, Any]:
    """Return the metrics of every case, each by the model that never saw it; intervals draw subjects over all folds."""
    whole = folds[0].replace(rows=tuple(row for fold in folds for row in fold.rows))
    return {**metrics_of(whole), "on": f"cases of a {len(folds)}-fold cross-validation"}


def finished(folder: Path, recipe: Recipe, split: Split) -> bool:
    """Tell whether a model folder is complete and of this recipe and split.

    Raises
    ------
    OutputError
        If it holds another model.
    """
    if not (folder / "manifest.json").is_file():
        return False
    try:
        same = Recipe.parse(load_json_file(folder / "recipe.json")) == recipe
        before = Split.read(folder / SPLIT_FILE)
    except SettingsError:
        same, before = False, split
    if not same or (before.training, before.held_back) != (split.training, split.held_back):
        raise OutputError(
            f"The folder {folder.parent.name!r} holds another training in {folder.name!r}: its recipe or its split "
            "differs.",
            hint="Choose a new folder.",
        )
    remove(default_work(folder))  # what a kill between the last two steps left
    return True


def _numbered(progress: ProgressFn, number: int, folds: int) -> ProgressFn:
    def told(fraction: float, message: str = "") -> None:
        progress(fraction, f"fold {number} of {folds}: {message}")

    return told


def _named(tell: Callable[[str], None], number: int) -> Callable[[str], None]:
    return lambda text: tell(f"Fold {number}: {text}")
