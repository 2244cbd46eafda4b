"""``medai finetune``: a stored model and more data in, a measured model folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .run import JsonFlag
from .shell import emit, guarded, say
from .train import AllowEmpty, Cache, DeviceName, Labels, Threads, Version, Work, Workers
from .traintext import parse_labels, resumable, show_model, told


def finetune_command(
    model: Annotated[str, typer.Argument(help="Id of a model that MedAI trained, or its folder.")],
    data: Annotated[Path, typer.Option(help="Data set: a folder with images and labels, nnU-Net's, or a CSV file.")],
    out: Annotated[Path, typer.Option(help="New model folder.")],
    epochs: Annotated[int, typer.Option(min=0, help="Passes over the training cases; 0: 30.")] = 0,
    rate: Annotated[float, typer.Option(min=0, help="Peak learning rate; 0: a tenth of the parent's.")] = 0.0,
    held_back: Annotated[int, typer.Option(min=-1, help="Subjects to hold back; -1: a fifth of them.")] = -1,
    labels: Labels = "",
    id: Annotated[str, typer.Option("--id", help="Id of the new model.")] = "",
    title: Annotated[str, typer.Option(help="Title of the new model.")] = "",
    freeze_encoder: Annotated[
        bool, typer.Option("--freeze-encoder", help="Leave the layers on the way down as they are: for few cases.")
    ] = False,
    device: DeviceName = "",
    threads: Threads = 0,
    workers: Workers = -1,
    work: Work = None,
    cache: Cache = None,
    version: Version = "1.0.0",
    allow_empty: AllowEmpty = False,
    json: JsonFlag = False,
) -> None:
    """Go on with a stored model on other data; outputs are matched by the names of the labels."""
    notes: list[str] = []

    def tell(text: str) -> None:
        notes.append(text)
        if not json:
            say(text)

    def done(token: Any) -> Any:
        from medai.segment.models import ModelStore
        from medai.segment.training.dataset import open_dataset
        from medai.segment.training.finetune import finetune_recipe, unseen_split
        from medai.segment.training.service import train_model
        from medai.segment.training.start import start_from

        parent = ModelStore().find(model, cancel=token)
        found = open_dataset(data)
        recipe = finetune_recipe(
            parent, labels=parse_labels(labels) if labels else found.labels, id=id, title=title,
            data=data.resolve().name, cases=len(found.cases), held_back=None if held_back < 0 else held_back,
            epochs=epochs, rate=rate, device=device, threads=threads, workers=None if workers < 0 else workers,
        )  # fmt: skip
        split = unseen_split(parent, found.cases, recipe.held_back, recipe.seed)
        start = start_from(parent, recipe, freeze_encoder=freeze_encoder)
        for note in start.notes:
            tell(note)
        with told(json) as progress, resumable(out, work):
            return train_model(
                recipe, data, out, work=work, split=split, start=start, version=version, cache=cache,
                allow_empty=allow_empty, tell=tell, progress=progress, cancel=token,
            )  # fmt: skip

    metrics = guarded(done, as_json=json)
    if json:
        emit({"research_use_only": True, "model": str(out), "notes": notes, "metrics": metrics})
    else:
        show_model(out, metrics)
