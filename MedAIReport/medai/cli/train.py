"""``medai train``: a data set in, a measured model folder out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .run import JsonFlag
from .shell import bar, emit, guarded, say
from .trainplan import Wanted, recipe_of
from .traintext import resumable, show_folds, show_model, told

Work = Annotated[Path | None, typer.Option(help="Folder for checkpoint and log; OUT.training if not given.")]
Epochs = Annotated[int, typer.Option(min=0, help="Other number of epochs; 0 keeps the recipe's.")]
DeviceName = Annotated[str, typer.Option(help="cpu, cuda or auto; the recipe's if not given.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 keeps the recipe's.")]
Workers = Annotated[int, typer.Option(min=-1, help="Threads that prepare samples; -1 keeps the recipe's.")]
Version = Annotated[str, typer.Option(help="Version of the model, such as 1.0.0.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for prepared cases: for data sets larger than the memory.")]
Labels = Annotated[str, typer.Option(help="Names of the labels: 1=Liver,2=Tumour.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Also train on cases whose label map is empty.")]


def train_command(
    data: Annotated[
        Path, typer.Option(help="Data set: a folder with images and labels, nnU-Net's, a CSV file, or label maps.")
    ],
    out: Annotated[Path | None, typer.Option(help="New model folder; with --folds the folder of all folds.")] = None,
    recipe: Annotated[
        str, typer.Option(help="Recipe's JSON file, or a model's id; without one it is planned from the data.")
    ] = "",
    start: Annotated[
        str,
        typer.Option(help="Model whose weights training begins with: an earlier stage of the same recipe's network."),
    ] = "",
    id: Annotated[str, typer.Option("--id", help="Planned recipes: id of the model.")] = "",
    title: Annotated[str, typer.Option(help="Planned recipes: title of the model.")] = "",
    labels: Labels = "",
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Print the planned recipe and why; train nothing.")] = (
        False
    ),
    held_back: Annotated[int, typer.Option(min=-1, help="Subjects to hold back; -1 keeps the recipe's.")] = -1,
    epochs: Epochs = 0,
    folds: Annotated[int, typer.Option(min=0, help="Cross-validation with so many folds.")] = 0,
    fold: Annotated[int, typer.Option(min=0, help="Train this fold alone, from 1; 0: all.")] = 0,
    final: Annotated[bool, typer.Option("--final", help="After the folds, train a model on all cases.")] = False,
    device: DeviceName = "",
    threads: Threads = 0,
    workers: Workers = -1,
    work: Work = None,
    cache: Cache = None,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16; the recipe's if not given.")] = "",
    memory: Annotated[
        float, typer.Option(min=0, help="Planned recipes: GiB that training may take; 0: 4, or a GPU's.")
    ] = 0.0,
    licence: Annotated[str, typer.Option(help="Licence of the model, for its card.")] = "",
    version: Version = "1.0.0",
    allow_empty: AllowEmpty = False,
    json: JsonFlag = False,
) -> None:
    """Train a network; a stopped training goes on when the same command is run again.

    The same recipe, data, versions and kind of machine give the same weights.
    """
    notes: list[str] = []
    wanted = Wanted(
        recipe=recipe, id=id, title=title, labels=labels, licence=licence, held_back=held_back, epochs=epochs,
        device=device, precision=precision, threads=threads, workers=workers, memory_gib=memory,
        allow_empty=allow_empty,
    )  # fmt: skip

    def tell(text: str) -> None:
        notes.append(text)
        if plan_only and not json:
            typer.echo(text, err=True)  # standard output is the recipe's: it can go to a file
        elif not json:
            say(text)

    def done(token: Any) -> Any:
        from medai.core.errors import SettingsError

        if out is None and not plan_only:
            raise SettingsError("--out is missing.", hint="Name the new model folder.")
        if (fold or final) and not folds:
            raise SettingsError("--fold and --final belong to --folds.", hint="Give --folds, the number of folds.")
        if folds and start:
            raise SettingsError(
                "--start does not go with --folds.",
                hint="The model to start from has seen cases that a fold holds back; its folds would look too good.",
            )
        if folds and work is not None:
            raise SettingsError("Each fold has its own work folder beside it.", hint="Leave --work out.")
        with told(json) as progress:
            chosen, reasons = recipe_of(wanted, data, progress=progress, cancel=token)
            for reason in reasons:
                tell(reason)
            if folds and reasons:
                tell(f"With {folds} folds each subject is held back once, by one of the {folds} models.")
            if plan_only or out is None:
                return {"recipe": chosen.to_dict(), "reasons": reasons}
            common: dict[str, Any] = {
                "version": version, "cache": cache, "allow_empty": allow_empty, "tell": tell, "progress": progress,
                "cancel": token,
            }  # fmt: skip
            with resumable(out, work):
                if folds:
                    from medai.segment.training.crossval import cross_validate

                    return cross_validate(chosen, data, out, folds, only=fold or None, final=final, **common)
                from medai.segment.training.service import train_model

                weights, split = _start(start, chosen, tell, token)
                return train_model(chosen, data, out, work=work, start=weights, split=split, **common)

    found = guarded(done, as_json=json)
    if plan_only or out is None:
        emit({"research_use_only": True, **found} if json else found["recipe"])
    elif json:
        emit({"research_use_only": True, "model": str(out), "notes": notes,
              **(found if folds else {"metrics": found})})  # fmt: skip
    elif folds:
        show_folds(found, folds, out, final)
    else:
        show_model(out, found)


def _start(name: str, recipe: Any, tell: Callable[[str], None], token: Any) -> tuple[Any, Any]:
    """Return the weights of the model to begin with, and its split: what it was trained on is never held back."""
    if not name:
        return None, None
    from medai.segment.models import ModelStore
    from medai.segment.training.folds import SPLIT_FILE, Split
    from medai.segment.training.start import start_from

    parent = ModelStore().find(name, cancel=token)
    found = start_from(parent, recipe)
    for note in found.notes:
        tell(note)
    file = parent.folder / SPLIT_FILE
    return found, Split.read(file) if file.is_file() else None


def example_command(
    folder: Annotated[Path, typer.Argument(help="New folder.")],
    cases: Annotated[int, typer.Option(help="How many images.")] = 24,
    json: JsonFlag = False,
) -> None:
    """Write a small data set of drawn images, to try training with; nothing is downloaded, nothing is of a patient."""

    def work(token: Any) -> Any:
        from medai.segment.training.example import write_example

        with bar(json) as progress:
            return write_example(folder, cases=cases, progress=progress, cancel=token)

    guarded(work, as_json=json)
    if json:
        emit({"data": str(folder), "cases": cases, "labels": {"1": "Body", "2": "Core"}})
    else:
        say(f"{cases} images and label maps written to {folder}; labels: 1=Body,2=Core")
