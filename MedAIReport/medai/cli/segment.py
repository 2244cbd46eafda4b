"""``medai segment``: an image in, a label map out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .run import FrameChoice, JsonFlag
from .shell import RESEARCH_USE, bar, emit, guarded, say


def segment_command(
    image: Annotated[Path, typer.Argument(help="Image file, or folder of one DICOM series.")],
    out: Annotated[Path, typer.Option(help="Label map to write (.nii.gz, .nii, .nrrd, .mha).")],
    model: Annotated[str, typer.Option(help="Id of a model, or a model's folder.")] = "",
    recipe: Annotated[str, typer.Option(help="Id of a recipe, such as ct-lungs; 'medai steps' lists them.")] = "",
    pipeline: Annotated[str, typer.Option(help="JSON file with a list of steps.")] = "",
    step: Annotated[
        list[str] | None,
        typer.Option(help="A step 'NAME' or 'NAME:key=value,key=value'; repeatable, in order."),
    ] = None,
    seed: Annotated[list[str] | None, typer.Option(help="A seed 'SEGMENT:R,A,S' in RAS mm; repeatable.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds from a Slicer markups file (.mrk.json).")] = "",
    labels: Annotated[
        str, typer.Option(help="Label map on the image's grid to start from: to repair, or as painted seeds.")
    ] = "",
    regions: Annotated[str, typer.Option(help="'atlas' (whole head), or 'image' (all of it).")] = "atlas",
    region: Annotated[
        list[str] | None,
        typer.Option(help="A box 'SIDE:R,A,S:X,Y,Z': side left, right or none; centre RAS mm; size mm. Repeatable."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    series: Annotated[str, typer.Option(help="SeriesInstanceUID, if the folder holds several series.")] = "",
    frame: FrameChoice = None,
    json: JsonFlag = False,
) -> None:
    """Segment one image with a model, a recipe, or steps of your own."""

    def work(token: Any) -> Any:
        from medai.core.io import read_labelmap, read_volume, write_labelmap
        from medai.core.progress import sub_progress
        from medai.segment.pipeline import run
        from medai.segment.recipes import expectation_flags
        from medai.segment.seeding import place_seeds, read_markups

        from .outputs import require_writable

        steps, expected = _steps(model, recipe, pipeline, step, regions, region, device, bool(labels))
        given = [_seed(text) for text in seed or []] + (list(read_markups(seeds)) if seeds else [])
        steps = place_seeds(steps, given, where="pipeline", has_labels=bool(labels))
        require_writable(out, image, *([Path(labels)] if labels else []))
        with bar(json) as progress:
            volume = read_volume(image, series_uid=series or None, frame=frame)
            volume = volume.with_flags(*expectation_flags(volume, *expected))
            start = read_labelmap(labels) if labels else None
            found = run(volume, steps, labels=start, progress=sub_progress(progress, 0.05, 0.95), cancel=token)
            token.check()
            write_labelmap(found, out, cancel=token)
        return volume, found

    volume, result = guarded(work, as_json=json)
    flags = [flag.to_dict() for flag in dict.fromkeys((*volume.flags, *result.flags))]
    if json:
        emit({
            "research_use_only": True,
            "labels": {str(s.label): s.name for s in result.segments},
            "volumes_ml": result.volumes_ml(),
            "flags": flags,
            "info": dict(result.meta),
            "file": str(out),
        })  # fmt: skip
        return
    say(RESEARCH_USE)
    for segment, millilitres in zip(result.segments, result.volumes_ml().values(), strict=True):
        say(f"  {segment.label:3d} {segment.name:<32} {millilitres:9.3f} mL")
    for flag in flags:
        say(f"  [{flag['severity']}] {flag['code']}: {flag['message']}")
    say(f"  written to {out}")


def _steps(
    model: str,
    recipe: str,
    pipeline: str,
    step: list[str] | None,
    regions: str,
    region: list[str] | None,
    device: str,
    has_labels: bool,
) -> tuple[Any, tuple[str, bool]]:
    """Return the pipeline that the options ask for, and what it expects of the image (modality, Hounsfield units)."""
    from medai.core.errors import SettingsError
    from medai.core.settings import load_json_file
    from medai.segment.pipeline import parse_pipeline
    from medai.segment.recipes import load_recipe

    from .stepoption import parse_steps

    if sum(map(bool, (model, recipe, pipeline, step))) != 1:
        raise SettingsError("Give one of --model, --recipe, --pipeline and --step.")
    if recipe:
        found = load_recipe(recipe)
        return [s.to_dict() for s in found.pipeline], (found.modality, found.hounsfield)
    where = "options"
    if pipeline:
        where, steps = Path(pipeline).name, load_json_file(pipeline)
        if isinstance(steps, dict) and "pipeline" in steps:
            found = load_recipe(pipeline)
            return [s.to_dict() for s in found.pipeline], (found.modality, found.hounsfield)
    elif step:
        steps = parse_steps(step)
    else:
        boxes: Any = [_region(text) for text in region] if region else regions
        steps = [{"step": "unet", "settings": {"model": model, "regions": boxes, "device": device}}]
    return parse_pipeline(steps, where=where, has_labels=has_labels), ("", False)


def _seed(text: str) -> Any:
    from medai.core.errors import SettingsError
    from medai.segment.seeds import Seed

    name, colon, position = text.rpartition(":")
    try:
        r, a, s = (float(v) for v in position.split(","))
    except ValueError:
        colon = ""
    if not colon or not name:
        raise SettingsError(f"The seed {text!r} cannot be read.", hint="Write it as Liver:-60,10,35 (name, RAS mm).")
    return Seed.parse({"ras": [r, a, s], "segment": name}, where="seed")


def _region(text: str) -> dict[str, Any]:
    from medai.core.errors import SettingsError

    parts = text.split(":")
    try:
        side, centre, size = parts
        values = [[float(v) for v in part.split(",")] for part in (centre, size)]
        if side not in ("left", "right", "none") or any(len(v) != 3 for v in values):
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"The region {text!r} cannot be read.", hint="Write it as left:-26,-22,-14:36,52,36 (side, RAS mm, mm)."
        ) from None
    return {"side": "" if side == "none" else side, "centre_ras": values[0], "size_mm": values[1]}
