"""``medai models measure`` and ``medai models card``: how good a model is, and the card that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .outputs import one_writer, require_folder
from .run import JsonFlag
from .shell import RESEARCH_USE, SOME_FAILED, bar, emit, guarded, say, shown


def measure_command(
    model: Annotated[str, typer.Argument(help="Id of a model, or a model's folder or file.")],
    data: Annotated[Path, typer.Option(help="Data set: a folder with images and labels, nnU-Net's, or a CSV file.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; a stopped run goes on there.")],
    cases: Annotated[
        str, typer.Option(help="held-back (those the model never saw), all, or a text file with one case a line.")
    ] = "held-back",
    outside: Annotated[
        str,
        typer.Option(help="Also run inputs outside the domain: 'generated', or a folder whose images are taken too."),
    ] = "",
    regions: Annotated[
        str, typer.Option(help="image: each image as a whole; atlas: both sides of a whole head; auto: by the model.")
    ] = "image",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "cpu",
    backend: Annotated[str, typer.Option(help="torch, openvino, onnxruntime or auto.")] = "torch",
    precision: Annotated[str, typer.Option(help="f32, f16, bf16 or auto.")] = "f32",
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Draw the pictures.")] = True,
    json: JsonFlag = False,
) -> None:
    """Measure a model on cases with label maps: tables, intervals, pictures, worst cases."""

    def work(token: Any) -> Any:
        from medai.segment.assessment.service import assess

        settings = {"regions": regions, "device": device, "backend": backend, "precision": precision}
        require_folder(out)
        with one_writer(out), bar(json) as progress:
            return assess(
                model, data, out, which=cases, outside=outside, settings=settings, pictures=pictures,
                progress=progress, cancel=token,
            )  # fmt: skip

    found = guarded(work, as_json=json)
    if json:
        values = found.to_dict()
        emit({"out": str(out), **{key: value for key, value in values.items() if key != "rows"},
              "failed": found.failures})  # fmt: skip
    else:
        _show(found, out)
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def card_command(
    model: Annotated[str, typer.Argument(help="Id of a model that training made, or its folder.")],
    assessment: Annotated[
        list[Path] | None,
        typer.Option(
            help="assessment.json of this model, or of a fold of its cross-validation (give it again for each fold)."
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Write a model's card anew, from its stored files and from what 'medai models measure' found."""

    def work(token: Any) -> Path:
        from medai.segment.models import ModelStore
        from medai.segment.training.card_folder import rewrite_card

        return rewrite_card(ModelStore().find(model, cancel=token).folder, assessment or [])

    card = guarded(work, as_json=json)
    if json:
        emit({"card": str(card)})
    else:
        say(f"Card written to {card}.")


def _show(found: Any, out: Path) -> None:
    say(RESEARCH_USE)
    say(f"{found.model['title']}: {found.data['cases']} cases ({found.data['chosen']})")
    for label in found.summary:
        dice, hd95 = label.measures["dice"], label.measures["hd95_mm"]
        limits = f" [{dice.ci_low:.3f}, {dice.ci_high:.3f}]" if dice.ci_low is not None else ""
        say(f"  {label.name:<32} Dice {shown(dice.mean, 3)}{limits}   HD95 {shown(hd95.mean, 2)} mm")
    for case, reason in found.failures.items():
        say(f"  failed: {case}: {reason}")
    for row in found.outside:
        say(f"  outside the domain: {row.name}: {row.verdict}{' ' if row.flags else ''}{' '.join(row.flags)}")
    say(f"  written to {out}")
