"""``medai evaluate``: how well label maps agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .run import JsonFlag
from .shell import SOME_FAILED, bar, emit, guarded, say, shown


def evaluate_command(
    predicted: Annotated[Path, typer.Argument(help="Label map, or folder of label maps.")],
    reference: Annotated[Path, typer.Argument(help="Label map, or folder of label maps of the same names.")],
    json: JsonFlag = False,
) -> None:
    """Print Dice, 95 % Hausdorff distance and volume error per label."""

    def work(token: Any) -> Any:
        from medai.segment.evaluate import evaluate_files

        with bar(json) as progress:
            return evaluate_files(predicted, reference, progress=progress, cancel=token)

    result = guarded(work, as_json=json)
    from medai.segment.evaluate import summarise

    summary = summarise(result.scores)
    if json:
        emit({
            "scores": [score.to_dict() for score in result.scores],
            "summary": {str(label): row for label, row in summary.items()},
            "failed": result.failures,
        })  # fmt: skip
    else:
        _show(result.scores, summary)
        for case, reason in result.failures.items():
            say(f"  failed: {case}: {reason}")
    if result.failures:
        raise typer.Exit(SOME_FAILED)


def _show(scores: list[Any], summary: dict[int, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("case", "label", "Dice", "HD95 mm", "reference mL", "predicted mL", "volume error %", "note")
    for s in scores:
        table.add_row(
            escape(s.case), str(s.label), shown(s.dice, 3), shown(s.hd95_mm, 2), shown(s.reference_ml, 3),
            shown(s.predicted_ml, 3), shown(s.volume_error_percent, 1), s.reason,
        )  # fmt: skip
    for label, row in summary.items() if len({s.case for s in scores}) > 1 else ():
        table.add_row(
            f"mean of {row['cases']}", str(label), shown(row["dice"]["mean"], 3),
            shown(row["hd95_mm"]["mean"], 2), "", "", shown(row["volume_error_percent"]["mean"], 1), "", style="bold",
        )  # fmt: skip
    Console().print(table)
