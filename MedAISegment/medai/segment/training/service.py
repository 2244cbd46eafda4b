"""From a data set and a recipe to a measured model folder, in one run or in several."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medai.core.errors import SettingsError
from medai.core.new_folder import require_new_folder
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.settings import digest_json, load_json_file

from ..assessment.choice import HELD_BACK
from ..assessment.result import FILE, Assessment, metrics_of
from ..manifest import Manifest
from ..models import read_model
from .card import model_card
from .export import write_model, write_pretty
from .folds import Split, split_subjects
from .loop import Trained, train
from .map_source import IMAGES_PER_MAP
from .recipe import Recipe
from .samples import Samples
from .sources import Source, open_source
from .start import Start
from .tensorboard import EpochLog
from .work import EVENTS, LOG, MEASURED, STATE, Work, default_work, opened, remove

FOLDS, FOLDS_SCHEMA = "cross_validation.json", "medai.cross-validation/1"
COMPARED = 4
"""Training samples on which half and single precision are compared."""
SOFTWARE = ("torch", "monai", "numpy", "SimpleITK")


def train_model(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    work: str | Path | None = None,
    split: Split | None = None,
    start: Start | None = None,
    version: str = "1.0.0",
    cache: str | Path | None = None,
    allow_empty: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    folds: tuple[Assessment, ...] = (),
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Train, store and measure a model; a run that was stopped or killed goes on when it is called again.

    Parameters
    ----------
    recipe : Recipe
        Everything that decides the result.
    data : path
        A data set (see :func:`~medai.segment.training.dataset.open_dataset`); for a recipe with ``synthesis`` a folder
        of label maps, or one with ``labels``.
    out : path
        The new model folder; it appears complete or not at all.
    work : path, optional
        Folder for checkpoint, log and events; ``OUT.training`` if not given.  It is removed when the model is complete,
        and kept if training stops before.
    split : Split, optional
        Who is held back; drawn by the recipe's seed if not given.
    start : Start, optional
        The weights of another model to begin with.
    version : str
        Of the model.
    cache : path, optional
        Folder for prepared cases, for data sets larger than the memory.
    allow_empty : bool
        Train on cases without any label, too.
    tell : callable
        Called with what is worth knowing before training starts.
    folds : tuple of Assessment
        Of a cross-validation of the same recipe: the card shows them; they are this model's numbers if it was trained
        on all cases.
    progress, cancel
        See :mod:`medai.core.progress`.

    Returns
    -------
    dict
        The metrics that the manifest and the card show.

    Raises
    ------
    InputError
        If the data do not fit the recipe; checked before training starts.  Or if ``work`` holds another training.
    OutputError
        If ``out`` holds something, a folder cannot be written to (a full disk: the last good checkpoint is kept), or
        another training uses ``work``.
    Cancelled
        If somebody asked to stop; the last epoch's checkpoint is kept.
    """
    token = cancel or CancelToken()
    place = Path(work) if work is not None else default_work(out)
    if (done := _complete(Path(out), place, recipe)) is not None:
        return done
    require_new_folder(out)
    source = open_source(recipe, data, allow_empty=allow_empty)
    sides = split or split_subjects(source.cases, recipe.held_back, recipe.seed)
    with opened(place, recipe, sides) as held:
        if held.started:
            tell(f"Going on with the training in {place.name!r}.")
        for note in source.check(sides, progress=sub_progress(progress, 0.0, 0.02), cancel=token):
            tell(note)
        samples = source.samples(
            sides.training, cache=Path(cache) if cache else None,
            progress=sub_progress(progress, 0.02, 0.05), cancel=token,
        )  # fmt: skip
        trained = _trained(samples, recipe, held, start, sub_progress(progress, 0.05, 0.95), token)
        metrics = _publish(
            trained, samples, source, recipe, sides, Path(out), held, start=start, version=version, folds=folds,
            progress=sub_progress(progress, 0.95, 1.0), cancel=token,
        )  # fmt: skip
    remove(place)
    progress(1.0, "done")
    return metrics


def _complete(out: Path, work: Path, recipe: Recipe) -> dict[str, Any] | None:
    """Return the metrics of a model that is complete but for its work folder: a kill came between the last steps."""
    try:
        whole = (work / STATE).is_file() and (out / "MODEL_CARD.md").is_file()
        if not whole or load_json_file(out / "recipe.json") != recipe.to_dict():
            return None
    except SettingsError:
        return None
    remove(work)
    return dict(read_model(out).manifest.metrics)


def _trained(
    samples: Samples, recipe: Recipe, work: Work, start: Start | None, progress: ProgressFn, cancel: CancelToken
) -> Trained:
    log = EpochLog(work.folder / LOG, work.folder / EVENTS, len(samples))
    clock = time.monotonic()

    def note(epoch: int, loss: float, rate: float) -> None:
        nonlocal clock
        now = time.monotonic()
        log.add(epoch, loss, rate, now - clock)
        clock = now

    try:
        return train(
            samples, recipe, progress=progress, cancel=cancel, checkpoint=work.state, on_epoch=note,
            start=start.weights if start else None, frozen=start.frozen if start else (),
        )  # fmt: skip
    finally:
        log.close()


def _publish(
    trained: Trained, samples: Samples, source: Source, recipe: Recipe, split: Split, out: Path, work: Work,
    *, start: Start | None, version: str, folds: tuple[Assessment, ...], progress: ProgressFn, cancel: CancelToken,
) -> dict[str, Any]:  # fmt: skip
    history: dict[str, Any] = {
        "losses": [round(x, 6) for x in trained.losses],
        "minutes": round(trained.seconds / 60, 1),
        "samples": trained.samples,
        "samples_per_second": round(trained.samples / trained.seconds, 3) if trained.seconds else None,
        "device": trained.device,
        "software": {name: importlib.metadata.version(name) for name in SOFTWARE},
        **({"finetuned_from": start.origin, "notes": list(start.notes)} if start else {}),
    }
    names = split.held_back or split.training
    made = recipe.synthesis is not None
    subjects = {split.subjects.get(name, name) for name in names}
    about = {
        "chosen": ("held-back label maps, made-image" if made else HELD_BACK) if split.held_back else "training",
        "cases": len(names), "subjects": len(subjects), "seen_in_training": 0 if split.held_back else len(names),
    }  # fmt: skip
    kept: list[Assessment] = []
    metrics: dict[str, Any] = {}

    def measured(folder: Path) -> dict[str, Any]:
        if folds and not split.held_back:
            kept.append(folds[0].replace(rows=tuple(row for fold in folds for row in fold.rows)))
            write_pretty(folder / FOLDS, {"schema": FOLDS_SCHEMA, "folds": [fold.to_dict() for fold in folds]})
            metrics.update(metrics_of(kept[0]))
            metrics["on"] = (
                f"cases of a {len(folds)}-fold cross-validation, each by the model that never saw it; this model was "
                "trained on all of them"
            )
            return metrics
        kept.append(source.measure(
            folder, names, about, out=work.folder / MEASURED, progress=progress, cancel=cancel
        ))  # fmt: skip
        metrics.update(metrics_of(kept[0]))
        if made:
            side = "held-back" if split.held_back else "training"
            metrics["on"] = (
                f"images made from {side} label maps ({len(names)} maps, {IMAGES_PER_MAP} images each, of a patch's "
                "size, on the model's grid), not real images"
            )
        write_pretty(folder / FILE, kept[0].to_dict())
        return metrics

    def card(manifest: Manifest, facts: dict[str, Any]) -> str:
        own = kept[0] if not folds and not made else None
        return model_card(manifest, recipe, facts, split.to_dict(), assessment=own, folds=() if made else folds)

    write_model(
        trained.network, recipe, out, split=split.to_dict(), history=history, measure=measured, version=version,
        images=[samples.sample(0, n)[0] for n in range(min(COMPARED, len(samples)))], card=card,
        staging=out.absolute().parent / f".medai-model-{out.name}-{digest_json(str(work.folder.absolute()))[:8]}",
    )  # fmt: skip
    return metrics
