"""``medai run`` and ``medai demo``: one case from the image to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .shell import RESEARCH_USE, bar, emit, guarded, say

FrameChoice = Annotated[
    int | None,
    typer.Option(min=0, help="Frame of a 4D image, page of a TIFF, or slice of a series, from 0."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Write the result as JSON for programs.")]


def run_command(
    image: Annotated[Path, typer.Argument(help="Image file, or folder of one DICOM series.")],
    protocol: Annotated[str, typer.Option(help="Id of a protocol, or a protocol's JSON file.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    series: Annotated[str, typer.Option(help="SeriesInstanceUID, if the folder holds several series.")] = "",
    frame: FrameChoice = None,
    scene: Annotated[bool, typer.Option(help="Save a Slicer scene (.mrb) if slicer-core is installed.")] = True,
    allow_quality_errors: Annotated[
        bool, typer.Option(help="Measure in spite of quality flags of severity error; they stay in the report.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Run a protocol on one image: segmentation, features, report, scene."""
    _run(image, protocol, out, series, frame, scene, allow_quality_errors, json, name="")


def demo_command(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("medai-demo"),
    json: JsonFlag = False,
) -> None:
    """Hippocampal volumes of the MNI152 brain that nilearn ships: no download, no patient."""
    from medai.segment.atlas import template_path

    path = guarded(lambda token: template_path(), as_json=json)
    _run(path, "hippocampus", out, "", None, True, False, json, name="MNI152 T1 template")


def _run(
    image: Path, protocol: str, out: Path, series: str, frame: int | None, scene: bool, allow: bool, as_json: bool,
    *, name: str,
) -> None:  # fmt: skip
    def work(token: Any) -> Any:
        from medai.cohort.case import run_case
        from medai.cohort.protocol import load_protocol

        from .scene import save_scene, scene_available

        parsed = load_protocol(protocol)
        with bar(as_json) as progress:
            return run_case(
                image, parsed, out, name=name, series_uid=series or None, frame=frame,
                allow_error_flags=allow, extra=save_scene if scene and scene_available() else None,
                progress=progress, cancel=token,
            )  # fmt: skip

    result = guarded(work, as_json=as_json)
    volumes = result.labels.volumes_ml()
    flags = [flag.to_dict() for flag in result.features.flags]
    if as_json:
        emit({
            "research_use_only": True,
            "volumes_ml": volumes,
            "flags": flags,
            "files": {kind: str(path) for kind, path in result.files.items()},
            "seconds": result.seconds,
        })  # fmt: skip
        return
    say(RESEARCH_USE)
    for segment, millilitres in volumes.items():
        say(f"  {segment:<32} {millilitres:9.3f} mL")
    for flag in flags:
        say(f"  [{flag['severity']}] {flag['code']}: {flag['message']}")
    for kind in ("report.html", "report.json", "features.csv", "segmentation.nii.gz", "scene.mrb"):
        if kind in result.files:
            say(f"  {kind:<22} {result.files[kind]}")
    say(f"  finished in {result.seconds:.1f} s")
