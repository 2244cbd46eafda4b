"""``medai filter``: an image in, a cleaner image out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .run import FrameChoice, JsonFlag
from .shell import RESEARCH_USE, bar, emit, guarded, say


def filter_command(
    image: Annotated[Path, typer.Argument(help="Image file, or folder of one DICOM series.")],
    out: Annotated[Path, typer.Option(help="Image to write (.nii.gz, .nii, .nrrd, .mha).")],
    pipeline: Annotated[str, typer.Option(help="JSON file with a list of filters.")] = "",
    step: Annotated[
        list[str] | None,
        typer.Option(help="A filter 'NAME' or 'NAME:key=value,key=value'; repeatable, in order."),
    ] = None,
    labels: Annotated[str, typer.Option(help="Label map on the image's grid, for filters that work inside one.")] = "",
    series: Annotated[str, typer.Option(help="SeriesInstanceUID, if the folder holds several series.")] = "",
    frame: FrameChoice = None,
    json: JsonFlag = False,
) -> None:
    """Run filters on one image."""

    def work(token: Any) -> Any:
        from medai.core.errors import SettingsError
        from medai.core.io import read_labelmap, read_volume, write_volume
        from medai.core.progress import sub_progress
        from medai.core.settings import load_json_file
        from medai.segment.pipeline import apply_filters, parse_pipeline

        from .outputs import require_writable
        from .stepoption import parse_steps

        if bool(pipeline) == bool(step):
            raise SettingsError("Give either --pipeline or --step.")
        steps = (
            parse_pipeline(load_json_file(pipeline), where=Path(pipeline).name, result="image")
            if pipeline
            else parse_pipeline(parse_steps(step or []), where="options", result="image")
        )
        # A grid that is taken from another image is an input, too.
        grids = [Path(item.settings["reference"]) for item in steps.steps if item.settings.get("reference")]
        require_writable(out, image, *grids, *([Path(labels)] if labels else []))
        with bar(json) as progress:
            volume = read_volume(image, series_uid=series or None, frame=frame)
            start = read_labelmap(labels) if labels else None
            found = apply_filters(
                volume, steps, labels=start, progress=sub_progress(progress, 0.05, 0.95), cancel=token
            )
            token.check()
            write_volume(found, out, cancel=token)
        return found, steps

    found, steps = guarded(work, as_json=json)
    flags = [flag.to_dict() for flag in found.flags]
    if json:
        emit({
            "research_use_only": True,
            "shape_kji": list(found.geometry.shape),
            "spacing_mm": list(found.geometry.spacing),
            "pipeline": [item.to_dict() for item in steps.steps],
            "flags": flags,
            "file": str(out),
        })  # fmt: skip
        return
    say(RESEARCH_USE)
    size = " x ".join(str(n) for n in found.geometry.size)
    spacing = " x ".join(f"{v:g}" for v in found.geometry.spacing)
    say(f"  {size} voxels of {spacing} mm")
    for flag in flags:
        say(f"  [{flag['severity']}] {flag['code']}: {flag['message']}")
    say(f"  written to {out}")
