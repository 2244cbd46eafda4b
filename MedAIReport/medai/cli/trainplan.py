"""The recipe of ``medai train``: read, taken from a model, or planned from the data; and what options change in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .traintext import parse_labels


@dataclass(frozen=True)
class Wanted:
    """What the command line says about a recipe; empty, 0 or -1: nothing."""

    recipe: str = ""
    id: str = ""
    title: str = ""
    labels: str = ""
    licence: str = ""
    held_back: int = -1
    epochs: int = 0
    device: str = ""
    precision: str = ""
    threads: int = 0
    workers: int = -1
    memory_gib: float = 0.0
    allow_empty: bool = False


def recipe_of(wanted: Wanted, data: Path, *, progress: Any, cancel: Any) -> tuple[Any, list[str]]:
    """Return the recipe and, if it was planned, the reasons.

    Raises
    ------
    MedAIError
        If the recipe or the data cannot be used, or an option does not fit.
    """
    from medai.segment.training.recipe import Recipe

    recipe, reasons = (_given if wanted.recipe else _planned)(wanted, data, progress, cancel)
    values = recipe.to_dict()
    if wanted.held_back >= 0:
        values["held_back"] = wanted.held_back
    o = values["optimiser"]
    if 0 < wanted.epochs < o["epochs"]:
        # A shorter training warms up for the same share of it.
        o["warmup_steps"] = round(o["warmup_steps"] * wanted.epochs / o["epochs"])
    if reasons and wanted.epochs:
        reasons.append(f"{wanted.epochs} epochs were asked for instead of {o['epochs']}.")
    for name in ("epochs", "device", "precision", "threads"):
        if getattr(wanted, name):
            o[name] = getattr(wanted, name)
    if wanted.workers >= 0:
        o["workers"] = wanted.workers
    if wanted.licence:
        values["description"]["licence"] = wanted.licence
    return Recipe.parse(values, where="options"), reasons


def _given(wanted: Wanted, data: Path, progress: Any, cancel: Any) -> tuple[Any, list[str]]:
    from medai.core.errors import InputError
    from medai.core.settings import load_json_file
    from medai.segment.models import ModelStore
    from medai.segment.training.recipe import Recipe

    file = Path(wanted.recipe)
    if not wanted.recipe.endswith(".json"):
        file = ModelStore().find(wanted.recipe, cancel=cancel).folder / "recipe.json"
        if not file.is_file():
            raise InputError(
                f"The model {wanted.recipe!r} has no recipe: it was not made by 'medai train'.",
                hint="Leave --recipe out to plan one from the data.",
            )
    values = Recipe.parse(load_json_file(file), where=file.name).to_dict()
    if wanted.id:
        values["id"] = wanted.id
    if wanted.title:
        values["description"]["title"] = wanted.title
    if wanted.labels:
        names = parse_labels(wanted.labels)
        known = {entry["label"]: entry for entry in values["labels"]}
        values["labels"] = [{**known.get(n, {}), "label": n, "name": names[n]} for n in sorted(names)]
    return Recipe.parse(values, where="options"), []


def _planned(wanted: Wanted, data: Path, progress: Any, cancel: Any) -> tuple[Any, list[str]]:
    from dataclasses import replace

    from medai.core.progress import sub_progress
    from medai.segment.training.dataset import open_dataset
    from medai.segment.training.fingerprint import fingerprint
    from medai.segment.training.plan import plan

    found = open_dataset(data)
    if wanted.labels:
        found = replace(found, labels=parse_labels(wanted.labels))
    name = data.resolve().stem
    print_ = fingerprint(
        found, allow_empty=wanted.allow_empty, progress=sub_progress(progress, 0.0, 0.02), cancel=cancel
    )
    device: Literal["cpu", "cuda"] = "cpu" if wanted.device == "cpu" else _device()
    more: dict[str, Any] = {}
    memory = wanted.memory_gib * 1024 or (_gpu_mib() if device == "cuda" else 0)
    if memory:
        more["memory_mib"] = memory
    if wanted.threads:
        more["threads"] = wanted.threads
    if wanted.precision:
        more["precision"] = wanted.precision
    if wanted.licence:
        more["licence"] = wanted.licence
    made = plan(
        print_,
        id=wanted.id or _id(name),
        title=wanted.title or f"{name[:100]} (own model)",
        device=device,
        held_back=None if wanted.held_back < 0 else wanted.held_back,
        source=name,
        **more,
    )
    return made.recipe, list(made.reasons)


def _id(name: str) -> str:
    """Return a model's id made of a file's name."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63]
    return plain or "model"


def _device() -> Literal["cpu", "cuda"]:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _gpu_mib() -> float:
    import torch

    if not torch.cuda.is_available():
        return 0.0
    return float(0.8 * torch.cuda.get_device_properties(0).total_memory / 2**20)
