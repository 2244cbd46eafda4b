"""``medai detect``: find things in images, train a detector, measure one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .detect2d import is_plane_model, is_plane_recipe, measure_plane, tell_plane, train_plane
from .detectdata import Place, Side, background, read_recipe, tests_of, training_of
from .run import JsonFlag
from .shell import bar, emit, guarded, say

detect_app = typer.Typer(help="Find things in images: boxes, scores and masks.", no_args_is_help=True)

Backgrounds = Annotated[
    Path | None, typer.Option("--background", help="Real CT in which synthetic nodules are planted.")
]
PlaceFile = Annotated[
    Path | None,
    typer.Option("--place", help="Label map of where nodules may lie; without one, aerated lung is looked for."),
]
PlaceLabels = Annotated[str, typer.Option(help="Labels of --place, such as 10,11,12,13,14; all if not given.")]
SideChoice = Annotated[Side, typer.Option(help="Half of the background that is used.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder with images and labels; in a label map each value is one finding.")
]


@detect_app.command("run")
def detect_run_command(
    image: Annotated[Path, typer.Argument(help="Image file, or folder of one DICOM series.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    model: Annotated[str, typer.Option(help="A shipped detector's id, or a detector's folder.")] = "nodule-synthetic",
    score: Annotated[float, typer.Option(min=-1, max=1, help="Smallest score; -1: as the model says.")] = -1,
    masks: Annotated[bool, typer.Option("--masks/--no-masks", help="Segment each finding.")] = True,
    device: Annotated[str, typer.Option(help="cpu or cuda; a GPU if there is one.")] = "",
    json: JsonFlag = False,
) -> None:
    """Detect: findings.csv, findings.json, Slicer Markups ROIs and masks."""

    def work(token: Any) -> Any:
        from medai.core.io import read_volume
        from medai.segment.detection.run import DetectSettings, detect
        from medai.segment.detection.service import write_findings

        values = {"model": model, "score": None if score < 0 else score, "masks": masks, "device": device}
        settings = DetectSettings.parse(values, where="options")
        with bar(json) as progress:
            found = detect(read_volume(image), settings, progress=progress, cancel=token)
        files = write_findings(found, out)
        return found, files

    found, files = guarded(work, as_json=json)
    if json:
        emit({**found.to_dict(), "files": [file.relative_to(out).as_posix() for file in files]})
        return
    say(f"{len(found)} findings; written to {out}")
    for number, item in enumerate(found.items, start=1):
        r, a, s = item.centre_ras
        say(f"  {number:3d}  {item.name:<16} score {item.score:.2f}  {item.diameter_mm:5.1f} mm  "
            f"at R {r:.1f} A {a:.1f} S {s:.1f}")  # fmt: skip
    for flag in found.flags:
        say(f"  {flag.severity.value}: {flag.message}")
    say("Research use only - not for diagnosis.")


@detect_app.command("train")
def detect_train_command(
    out: Annotated[Path, typer.Option(help="New folder of the detector.")],
    recipe: Annotated[str, typer.Option(help="Recipe's JSON file, or a detector's id.")] = "nodule-synthetic",
    data: Data = None,
    held_back: Annotated[int, typer.Option(min=1, help="Of --data: scans that training never sees.")] = 1,
    background_ct: Backgrounds = None,
    place: PlaceFile = None,
    place_labels: PlaceLabels = "",
    side: SideChoice = Side.right,
    scans: Annotated[int, typer.Option(min=1, help="Synthetic scans of each kind to measure on.")] = 20,
    epochs: Annotated[int, typer.Option(min=0, help="Other number of epochs of both stages; 0 keeps them.")] = 0,
    work_folder: Annotated[Path | None, typer.Option("--work", help="Folder for checkpoints; OUT.training.")] = None,
    json: JsonFlag = False,
) -> None:
    """Train a detector on labelled scans, or on synthetic nodules in generated chests and a half of a real CT.

    The other half of the CT is measured on. A stopped training goes on when the same command is run again.
    """

    def work(token: Any) -> Any:
        from medai.segment.detection.service import train_detector

        if is_plane_recipe(recipe):
            with bar(json) as progress:
                return train_plane(recipe, data, out, work_folder, epochs, progress, token)
        chosen = read_recipe(recipe, epochs)
        where = Place(place, place_labels, side)
        with bar(json) as progress:
            sources, tests, about = training_of(chosen, data, held_back, background_ct, where, scans, token)
            folder = work_folder or out.with_name(f"{out.name}.training")
            return train_detector(
                chosen, sources, tests, out, about=about, work=folder, progress=progress, cancel=token
            )

    metrics = guarded(work, as_json=json)
    if json:
        emit({"model": str(out), "metrics": metrics})
        return
    say(f"Detector written to {out}")
    _tell(metrics)


@detect_app.command("measure")
def detect_measure_command(
    out: Annotated[Path, typer.Option(help="Output folder: froc.json, curves and tables.")],
    model: Annotated[str, typer.Option(help="A shipped detector's id, or a detector's folder.")] = "nodule-synthetic",
    data: Data = None,
    background_ct: Backgrounds = None,
    place: PlaceFile = None,
    place_labels: PlaceLabels = "",
    side: SideChoice = Side.both,
    ignore: Annotated[Path | None, typer.Option(help="Label map of what is there and counts neither way.")] = None,
    scans: Annotated[int, typer.Option(min=1, help="Synthetic scans.")] = 20,
    iou: Annotated[float, typer.Option(min=0, max=1, help="Match boxes by overlap; 0: by centre (LUNA16).")] = 0.0,
    json: JsonFlag = False,
) -> None:
    """Measure a detector: FROC, sensitivity by size, Dice of the masks; on generated chests if no scan is given."""

    def work(token: Any) -> Any:
        from medai.segment.detection.froc import FrocSettings
        from medai.segment.detection.model import find_detector
        from medai.segment.detection.service import measure_all, write_measured

        if is_plane_model(model):
            with bar(json) as progress:
                return measure_plane(model, data, out, progress, token)
        settings = FrocSettings(match="iou", iou=iou) if iou else FrocSettings()
        found = find_detector(model)
        shown = background(background_ct, Place(place, place_labels, side)) if background_ct else None
        tests = tests_of(found, data, shown, ignore, scans)
        with bar(json) as progress:
            values, measured = measure_all(found, tests, settings, progress=progress, cancel=token)
        write_measured(values, measured, out, title=found.title)
        return values

    metrics = guarded(work, as_json=json)
    if json:
        emit(metrics)
        return
    _tell(metrics)
    say(f"  written to {out}")


def _tell(metrics: dict[str, Any]) -> None:
    if "images" in metrics:
        tell_plane(metrics)
        return
    for name, values in metrics.items():
        froc, at = values["froc"], values["at_shown_score"]
        say(f"  {name}: CPM {froc['cpm']:.3f} ({froc['findings']} findings in {froc['scans']} scans); at score "
            f"{values['shown_score']:g}: sensitivity {at['sensitivity']:.3f} at "
            f"{at['false_positives_per_scan']:.2f} false positives per scan")  # fmt: skip
