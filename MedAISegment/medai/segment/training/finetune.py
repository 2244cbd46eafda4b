"""Going on with a stored model on other data: its recipe, its weights, and who is held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medai.core.errors import InputError
from medai.core.settings import load_json_file

from ..manifest import LabelEntry
from ..models.info import ModelInfo
from .dataset import CaseFiles
from .folds import SPLIT_FILE, Split, split_subjects
from .recipe import Recipe
from .start import require_tunable

EPOCHS = 30
HELD_SHARE = 0.2
SLOWER = 0.1
"""Share of the parent's learning rate: its weights are to be moved, not forgotten."""


def finetune_recipe(
    parent: ModelInfo,
    *,
    labels: Mapping[int, str] | None = None,
    id: str = "",
    title: str = "",
    data: str = "",
    cases: int = 0,
    held_back: int | None = None,
    epochs: int = 0,
    rate: float = 0.0,
    device: str = "",
    threads: int = 0,
    workers: int | None = None,
) -> Recipe:
    """Return the recipe of a fine-tuning: the parent's network, grid and values, fewer epochs, a lower rate.

    Parameters
    ----------
    labels : mapping of int to str, optional
        Label values and names of the new data; the parent's if not given.  A label with a name of the parent keeps its
        colour and codes.
    data, cases : str, int
        Name of the new data set and number of its cases, for the card.
    held_back : int, optional
        Subjects to hold back; a fifth of the cases if not given.
    epochs, rate : int, float
        0: 30 epochs; a tenth of the parent's rate.

    Raises
    ------
    ModelError
        If the parent cannot be fine-tuned.
    SettingsError
        If a value does not fit.
    """
    require_tunable(parent)
    values = _parents(parent)
    manifest = parent.manifest
    known = {entry.name: entry for entry in manifest.labels}
    if labels:
        values["labels"] = [
            {**(known[name].to_dict() if name in known else LabelEntry(label=1, name=name).to_dict()), "label": number}
            for number, name in sorted(labels.items())
        ]  # fmt: skip
    d = values["description"]
    d["title"] = title or f"{d['title'][:105]} (fine-tuned)"
    d["training_data"] = (
        f"Fine-tuned on {cases} cases of the data set {data or 'of the user'}. Before that, {parent.id} "
        f"{manifest.version} (SHA-256 {manifest.weights_sha256[:12]}...): {d['training_data']}"
    )
    d["limits"] = [
        *d["limits"],
        f"Fine-tuned from {parent.id} {manifest.version}: what is said of that model's accuracy does not hold for this "
        "one, and structures and images that only the parent was trained on may be forgotten.",
    ]  # fmt: skip
    kept = {entry["name"] for entry in values["labels"]}
    d["volume_range_ml"] = {k: v for k, v in d["volume_range_ml"].items() if k in kept}
    o = values["optimiser"]
    o["epochs"] = epochs or EPOCHS
    o["learning_rate"] = rate or o["learning_rate"] * SLOWER
    if device:
        o["device"] = device
    if threads:
        o["threads"] = threads
    if workers is not None:
        o["workers"] = workers
    values["held_back"] = held_back if held_back is not None else max(1, round(HELD_SHARE * cases))
    values["id"] = id or f"{parent.id[:52]}-finetuned"
    return Recipe.parse(values, where="recipe")


def unseen_split(parent: ModelInfo, cases: Sequence[CaseFiles], held_back: int, seed: int) -> Split:
    """Hold back subjects that the parent was not trained on, as far as its ``split.json`` tells.

    Raises
    ------
    InputError
        If there are too few of them.
    """
    file = parent.folder / SPLIT_FILE
    seen = set(Split.read(file).training) if file.is_file() else set()
    known = {files.subject for files in cases if files.case in seen}
    if not known:
        return split_subjects(cases, held_back, seed)
    fresh = [files for files in cases if files.subject not in known]
    subjects = len({files.subject for files in fresh})
    if held_back > subjects:
        raise InputError(
            f"{held_back} subjects are to be held back, but the model {parent.id!r} was trained on all but {subjects} "
            "of them.",
            hint="Measured on cases that it has seen, it would look better than it is: hold back fewer, or add others.",
        )
    if held_back == subjects:
        held = {files.subject for files in fresh}
    else:
        held = {files.subject for files in fresh if files.case in split_subjects(fresh, held_back, seed).held_back}
    return Split(
        training=tuple(sorted(files.case for files in cases if files.subject not in held)),
        held_back=tuple(sorted(files.case for files in cases if files.subject in held)),
        seed=seed,
        subjects={files.case: files.subject for files in sorted(cases, key=lambda item: item.case)},
    )


def _parents(parent: ModelInfo) -> dict[str, Any]:
    """Return the parent's recipe; of a model without one, what its manifest says."""
    manifest = parent.manifest
    file = parent.folder / "recipe.json"
    values: dict[str, Any] = Recipe.parse(load_json_file(file), where=file.name).to_dict() if file.is_file() else {}
    stored = manifest.to_dict()
    for name in ("description", "labels", "prepare", "region"):
        values[name] = stored[name]
    values["synthesis"] = None
    if not file.is_file():
        values.update(id=parent.id, patch=stored["window"], network=stored["network"])
        values.setdefault("optimiser", {"learning_rate": 2e-3})
        if manifest.network.name == "unet3d":
            values["filters"] = manifest.network.settings.get("filters", [32, 64, 128, 256])
            values["network"] = None
    return values
