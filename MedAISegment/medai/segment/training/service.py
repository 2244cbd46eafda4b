"""From a folder of pairs and a recipe to a measured model folder."""

from __future__ import annotations

import importlib.metadata
import time
from pathlib import Path
from typing import Any

import numpy as np

from medai.core.errors import InputError
from medai.core.io import read_labelmap, read_volume
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from ..evaluate import Score, compare, summarise
from ..models import read_model
from ..segmenters.unet import UNet
from .cases import Pair, find_pairs, load_case, split
from .export import require_new_folder, write_model
from .loop import train
from .patches import PatchSamples
from .recipe import Recipe


def train_model(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Train, store and measure a model.

    Parameters
    ----------
    recipe : Recipe
        Everything that decides the result.
    data : path
        Folder with ``images`` and ``labels``.
    out : path
        The new model folder; it appears complete or not at all.

    Returns
    -------
    dict
        The metrics that the manifest and the card show.

    Raises
    ------
    InputError
        If the data do not fit the recipe; checked before training starts.
    OutputError
        If ``out`` holds something or cannot be written.
    """
    token = cancel or CancelToken()
    require_new_folder(out)
    pairs = {p.case: p for p in find_pairs(data)}
    names, held = split(list(pairs), recipe.held_back, recipe.seed)
    part = sub_progress(progress, 0.0, 0.05)
    cases = []
    for index, name in enumerate(names):
        token.check()
        cases.append(load_case(pairs[name], recipe))
        part((index + 1) / len(names), f"reading {name}")
    for name in held:
        token.check()
        load_case(pairs[name], recipe)
    started = time.monotonic()
    made = train(PatchSamples(cases, recipe), recipe, progress=sub_progress(progress, 0.05, 0.95), cancel=token)
    history = {
        "losses": [round(x, 6) for x in made.losses],
        "minutes": round((time.monotonic() - started) / 60, 1),
        "software": {name: importlib.metadata.version(name) for name in ("torch", "monai", "numpy", "SimpleITK")},
    }
    result: dict[str, Any] = {}

    def measured(folder: Path) -> dict[str, Any]:
        chosen = [pairs[n] for n in held] or [pairs[n] for n in names]
        result.update(measure(folder, chosen, progress=sub_progress(progress, 0.95, 1.0), cancel=token))
        result["on"] = "held-back cases" if held else "training cases"
        return result

    lists = {"training": names, "held_back": held}
    write_model(made.network, recipe, out, split=lists, history=history, measure=measured)
    return result


def measure(
    folder: Path, pairs: list[Pair], *, progress: ProgressFn = no_progress, cancel: CancelToken | None = None
) -> dict[str, Any]:
    """Segment whole images with a stored model and compare them with their label maps.

    Returns
    -------
    dict
        ``labels`` (name -> summary), ``mean_dice`` over the labels, ``cases``.
    """
    if not pairs:
        raise InputError("There are no cases to measure the model on.")
    token = cancel or CancelToken()
    scores: list[Score] = []
    # In plain numbers, so that a card says the same whatever else is installed.
    plain = {"device": "cpu", "backend": "torch", "precision": "f32"}
    settings = {"model": str(folder.resolve()), "regions": "image", **plain}
    for index, pair in enumerate(pairs):
        labels = UNet().run(read_volume(pair.image), settings, cancel=token)
        scores += compare(labels, read_labelmap(pair.labels), {"match": "labels"}, case=pair.case)
        progress((index + 1) / len(pairs), f"measuring {pair.case}")
    names = {entry.label: entry.name for entry in read_model(folder).manifest.labels}
    summary = {names[label]: row for label, row in summarise(scores).items() if label in names}
    means = [row["dice"]["mean"] for row in summary.values() if row["dice"]["mean"] is not None]
    return {
        "labels": _rounded(summary),
        "mean_dice": round(float(np.mean(means)), 4) if means else 0.0,
        "cases": len(pairs),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
