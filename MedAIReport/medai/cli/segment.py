"""``medai segment``: an image in, a label map out; or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .run import FrameChoice, JsonFlag
from .shell import RESEARCH_USE, SOME_FAILED, bar, emit, guarded, say


def segment_command(
    image: Annotated[Path, typer.Argument(help="Image file, folder of one DICOM series, or folder of images.")],
    out: Annotated[Path, typer.Option(help="Label map to write (.nii.gz, .seg.nrrd, .mha); a folder for a folder.")],
    model: Annotated[str, typer.Option(help="Id of a model ('medai models list'), or a model's folder.")] = "",
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
    channel: Annotated[
        list[Path] | None, typer.Option(help="Image of the model's next channel, on the same grid; repeatable.")
    ] = None,
    regions: Annotated[
        str, typer.Option(help="'auto', 'locator' (a model finds it), 'atlas', or 'image' (all).")
    ] = "auto",
    region: Annotated[
        list[str] | None,
        typer.Option(help="A box 'SIDE:R,A,S:X,Y,Z': side left, right or none; centre RAS mm; size mm. Repeatable."),
    ] = None,
    roi: Annotated[
        list[str] | None,
        typer.Option(help="A box without a side: 'R,A,S:X,Y,Z', or a Slicer ROI (.mrk.json). Repeatable."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    backend: Annotated[str, typer.Option(help="auto, torch, openvino or onnxruntime.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, f16 or bf16.")] = "auto",
    tta: Annotated[
        bool | None,
        typer.Option("--tta/--no-tta", help="Average over mirrored images; as the model says if not given."),
    ] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write maps of uncertainty beside the label map.")
    ] = False,
    dropout: Annotated[int, typer.Option(help="Runs with random dropout, for the maps; 0: none.", min=0, max=64)] = 0,
    overlap: Annotated[float | None, typer.Option(help="Share of a window that the next one covers.")] = None,
    crop_body: Annotated[
        bool | None, typer.Option("--crop-body/--no-crop-body", help="Run only around the body; for CT if not given.")
    ] = None,
    series: Annotated[str, typer.Option(help="SeriesInstanceUID, if the folder holds several series.")] = "",
    frame: FrameChoice = None,
    all_frames: Annotated[bool, typer.Option("--all-frames", help="Every frame of a 4D image.")] = False,
    json: JsonFlag = False,
) -> None:
    """Segment images with a model, a recipe, or steps of your own."""
    network = {
        "device": device, "backend": backend, "precision": precision, "mirror": tta, "overlap": overlap,
        "crop_body": crop_body,
    }  # fmt: skip

    def work(token: Any) -> Any:
        from medai.core.errors import SettingsError
        from medai.segment.seeding import place_seeds, read_markups

        from .cases import find_cases
        from .segmentcases import Job, segment_cases
        from .segmentoptions import boxes_of, require_model, seed_of, steps_of, with_uncertainty

        boxes = boxes_of(region, roi) or regions
        if model and (uncertainty or dropout):
            network.update(with_uncertainty(model, tta, dropout))
        if not model:
            require_model({
                "--uncertainty": uncertainty, "--dropout": dropout > 0, "--device": device != "auto",
                "--backend": backend != "auto", "--precision": precision != "auto", "--tta": tta is not None,
                "--overlap": overlap is not None, "--crop-body": crop_body is not None,
                "--regions": regions != "auto", "--region": bool(region), "--roi": bool(roi),
            })  # fmt: skip
        steps, expected = steps_of(model, recipe, pipeline, step, boxes, network, bool(labels))
        given = [seed_of(text) for text in seed or []] + (list(read_markups(seeds)) if seeds else [])
        steps = place_seeds(steps, given, where="pipeline", has_labels=bool(labels))
        cases, many = find_cases(image, channel or (), out, frame, all_frames)
        if many and labels:
            raise SettingsError("--labels belongs to one image, not to a folder of images.")
        start = Path(labels) if labels else None
        job = Job(steps, expected, start, series or None, maps=bool(model) and (uncertainty or dropout > 0))
        with bar(json) as progress:
            return segment_cases(cases, out if many else None, job, progress=progress, cancel=token), many

    (results, many) = guarded(work, as_json=json)
    failed = [result for result in results if "error" in result]
    if json:
        emit({"research_use_only": True, "cases": results} if len(results) > 1 or many else results[0])
    else:
        say(RESEARCH_USE)
        for result in results:
            _show(result, many or len(results) > 1)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _show(result: dict[str, Any], named: bool) -> None:
    if named:
        say(f"{result['case']}:")
    if "error" in result:
        say(f"  failed: {result['error']['message']} {result['error']['hint']}".rstrip())
        return
    for label, name in result["labels"].items():
        say(f"  {int(label):3d} {name:<32} {result['volumes_ml'][name]:9.3f} mL")
    for flag in result["flags"]:
        say(f"  [{flag['severity']}] {flag['code']}: {flag['message']}")
    ran = result["info"].get("inference", {})
    if ran.get("backend"):
        say(f"  ran on {ran.get('device_name') or ran['device']} with {ran['backend']} in {ran['precision']}")
    for name, trust in result["info"].get("trust", {}).items():
        say(f"  trust {trust['value']:.2f} {name} (uncalibrated)")
    say(f"  written to {result['file']}")
    for path in result.get("maps", {}).values():
        say(f"  written to {path}")
