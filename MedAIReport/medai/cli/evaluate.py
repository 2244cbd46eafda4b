"""``medai evaluate``: how well label maps agree."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .run import JsonFlag
from .shell import SOME_FAILED, bar, emit, guarded, say, shown


class MatchChoice(str, Enum):
    """What segments are matched by."""

    auto = "auto"
    names = "names"
    codes = "codes"
    labels = "labels"


class SurfaceChoice(str, Enum):
    """What distances are measured between."""

    voxels = "voxels"
    surfels = "surfels"


COLUMNS = (
    ("Dice", "dice", 3),
    ("IoU", "iou", 3),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("surface Dice", "surface_dice", 3),
    ("HD mm", "hd_mm", 2),
    ("HD95 mm", "hd95_mm", 2),
    ("ASSD mm", "assd_mm", 2),
    ("volume error mL", "volume_error_ml", 3),
    ("volume error %", "volume_error_percent", 1),
)


def evaluate_command(
    predicted: Annotated[Path, typer.Argument(help="Label map, or folder of label maps.")],
    reference: Annotated[Path, typer.Argument(help="Label map, or folder of label maps of the same names.")],
    match: Annotated[
        MatchChoice, typer.Option(help="Match segments by names, codes or label values; auto: names if all have one.")
    ] = MatchChoice.auto,
    tolerance_mm: Annotated[float, typer.Option(help="Tolerance of the surface Dice in mm.")] = 1.0,
    surface: Annotated[
        SurfaceChoice, typer.Option(help="Distances between border voxels, or surface elements weighted by area.")
    ] = SurfaceChoice.voxels,
    resample: Annotated[
        bool, typer.Option("--resample", help="Bring predictions on another grid to the reference's.")
    ] = False,
    csv: Annotated[str, typer.Option(help="Write all measures, one row a case and segment, to this CSV file.")] = "",
    summary_csv: Annotated[
        str, typer.Option(help="Write mean, spread and confidence interval of each measure to this CSV file.")
    ] = "",
    json: JsonFlag = False,
) -> None:
    """Compare label maps: overlap, surface distances and volume error, with intervals over many cases."""

    def work(token: Any) -> Any:
        from medai.segment.evaluate import EvaluateSettings, evaluate_files

        outputs = [Path(name) for name in (csv, summary_csv) if name]
        _require_csv(outputs, predicted, reference)
        settings = EvaluateSettings.parse(
            {
                "match": match.value,
                "tolerance_mm": tolerance_mm,
                "surface": surface.value,
                "resample": resample,
            },
            where="evaluate",
        )
        with bar(json) as progress:
            found = evaluate_files(predicted, reference, settings, progress=progress, cancel=token)
        if csv:
            found.to_csv(csv)
        if summary_csv:
            found.summary_to_csv(summary_csv)
        return found

    result = guarded(work, as_json=json)
    if json:
        emit(result.to_dict())
    else:
        _show(result)
        for score in result.unmatched:
            say(f"  not matched: {_line(score.case)}: {_line(score.segment)}: {score.reason}")
        for case, reason in result.failures.items():
            say(f"  failed: {case}: {reason}")
        for name in (csv, summary_csv):
            if name:
                say(f"  written to {name}")
    if result.failures:
        raise typer.Exit(SOME_FAILED)


def _require_csv(outputs: list[Path], *inputs: Path) -> None:
    """Refuse, before anything is read, a table that cannot be written or would replace an input or the other table."""
    from medai.core.errors import OutputError

    for number, out in enumerate(outputs):
        if out.suffix.lower() != ".csv":
            raise OutputError(f"A table is written as .csv, given {out.name!r}.", hint="End the file name in .csv.")
        if out.is_dir():
            raise OutputError(f"Cannot write {out.name!r}: a folder of that name exists.")
        if not out.parent.is_dir():
            raise OutputError(f"Cannot write {out.name!r}: its folder does not exist.", hint="Create it first.")
        if not os.access(out.parent, os.W_OK | os.X_OK):
            raise OutputError(
                f"Cannot write {out.name!r}: its folder may not be written to.", hint="Choose another folder."
            )
        if any(out.exists() and path.exists() and out.samefile(path) for path in inputs):
            raise OutputError("The output is an input.", hint="Choose another name.")
        if out.resolve() in [other.resolve() for other in outputs[:number]]:
            raise OutputError("Both tables would go to one file.", hint="Choose another name.")


def _show(result: Any) -> None:
    """Print a table of the scores and of the means: framed in a terminal, in whole plain lines elsewhere."""
    head = ("case", "segment", *(title for title, _, _ in COLUMNS), "note")
    rows = [
        (_line(s.case), _line(s.segment), *(shown(getattr(s, key), digits) for _, key, digits in COLUMNS), s.reason)
        for s in result.scores
    ]
    means = _means(result) if len(result.cases) > 1 else []
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        from rich.markup import escape
        from rich.table import Table

        table = Table(*head)
        for row in rows:
            table.add_row(*map(escape, row))
        for row in means:
            table.add_row(*map(escape, row), style="bold")
        console.print(table)
        return
    lines = [head, *rows, *means]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = (
            cell.ljust(width) if column in (0, 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line[:-1], widths, strict=False))
        )
        say(f"{'  '.join(cells)}  {line[-1]}".rstrip())


def _means(result: Any) -> list[tuple[str, ...]]:
    """Return a row of means for each segment; the interval of the mean Dice is its note."""
    segments: dict[str, dict[str, Any]] = {}
    for row in result.summary:
        segments.setdefault(f"{row.label} {row.segment}", {})[row.metric] = row
    rows = []
    for measures in segments.values():
        dice = measures["dice"]
        level = f"{100 * result.settings.confidence:g} %"
        note = f"Dice {level} interval {dice.ci_low:.3f} to {dice.ci_high:.3f}" if dice.ci_low is not None else ""
        numbers = (shown(measures[key].mean, digits) for _, key, digits in COLUMNS)
        rows.append((f"mean of {dice.cases}", _line(dice.segment), *numbers, note))
    return rows


def _line(text: str) -> str:
    """Return a name without line ends and control characters, which would move the cursor of a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
