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
    pipeline: Annotated[str, typer.Option(help="JSON file with a list of steps instead of a model.")] = "",
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
    """Segment one image with a model or a pipeline."""

    def work(token: Any) -> Any:
        from medai.core.errors import OutputError, SettingsError
        from medai.core.io import read_volume, write_labelmap
        from medai.core.io.formats import writable_suffix
        from medai.core.progress import sub_progress
        from medai.core.settings import load_json_file
        from medai.segment.pipeline import parse_pipeline, run

        if bool(model) == bool(pipeline):
            raise SettingsError("Give either --model or --pipeline.")
        if pipeline:
            steps = parse_pipeline(load_json_file(pipeline), where=Path(pipeline).name)
        else:
            boxes: Any = [_region(text) for text in region] if region else regions
            steps = parse_pipeline(
                [{"step": "unet", "settings": {"model": model, "regions": boxes, "device": device}}], where="options"
            )
        writable_suffix(out)
        if out.is_dir():
            raise OutputError(f"Cannot write {out.name!r}: a folder of that name exists.")
        if not out.parent.is_dir():
            raise OutputError(f"Cannot write {out.name!r}: its folder does not exist.", hint="Create the folder first.")
        if out.exists() and image.exists() and out.samefile(image):
            raise OutputError("The output is the input image.", hint="Choose another name.")
        with bar(json) as progress:
            volume = read_volume(image, series_uid=series or None, frame=frame)
            labels = run(volume, steps, progress=sub_progress(progress, 0.05, 0.95), cancel=token)
            token.check()
            write_labelmap(labels, out)
        return volume, labels

    volume, labels = guarded(work, as_json=json)
    flags = [flag.to_dict() for flag in (*volume.flags, *labels.flags)]
    if json:
        emit({
            "research_use_only": True,
            "labels": {str(s.label): s.name for s in labels.segments},
            "volumes_ml": labels.volumes_ml(),
            "flags": flags,
            "info": dict(labels.meta),
            "file": str(out),
        })  # fmt: skip
        return
    say(RESEARCH_USE)
    for segment, millilitres in zip(labels.segments, labels.volumes_ml().values(), strict=True):
        say(f"  {segment.label:3d} {segment.name:<32} {millilitres:9.3f} mL")
    for flag in flags:
        say(f"  [{flag['severity']}] {flag['code']}: {flag['message']}")
    say(f"  written to {out}")


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
