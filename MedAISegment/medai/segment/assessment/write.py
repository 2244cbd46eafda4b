"""The files of an assessment: tables, JSON, a summary for people, and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.atomic import ensure_folder, write_text
from medai.core.csvtext import write_csv
from medai.core.errors import MedAIError
from medai.core.io import read_labelmap
from medai.core.progress import CancelToken, ProgressFn, no_progress

from ..training.dataset import CaseFiles
from .figure import require_matplotlib
from .measure import MASKS, file_stem, read_image
from .pictures import bland_altman_plots, box_plots, volume_plots
from .result import FILE, Assessment
from .rows import table as rows_table
from .text import definitions, flag_rates, label_tables, outside_table
from .worst import draw_worst, worst_rows

PICTURES = (
    ("boxplot.png", "Dice and HD95 of each label", box_plots),
    ("volumes.png", "Volumes found by the model against the reference's", volume_plots),
    ("bland_altman.png", "Differences of the volumes (Bland-Altman)", bland_altman_plots),
)
"""File, caption, and what draws it."""


def write_assessment(
    found: Assessment,
    out: str | Path,
    cases: Sequence[CaseFiles],
    *,
    pictures: bool = True,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Assessment:
    """Write all files of an assessment into the folder that :func:`measure_model` filled.

    Parameters
    ----------
    out : path
        With ``masks``, from which the worst cases are drawn.
    cases : sequence of CaseFiles
        The measured cases.
    pictures : bool
        False writes tables and texts only.

    Returns
    -------
    Assessment
        With the names of the worst cases and their pictures.

    Raises
    ------
    DependencyError
        If pictures are wanted and matplotlib is missing; nothing is written then.
    OutputError
        If a file cannot be written.
    Cancelled
        If somebody asked to stop.
    """
    token = cancel or CancelToken()
    if pictures:
        require_matplotlib()
    folder = ensure_folder(out)
    write_csv(rows_table(found.rows), folder / "cases.csv")
    if pictures:
        for name, _, draw in PICTURES:
            token.check()
            draw(found, folder / name)
    found = found.replace(worst=_worst(found, folder, cases, pictures, progress, token))
    write_json(folder / "summary.json", {
        "schema": "medai.assessment-summary/1", "research_use_only": True, "model": dict(found.model),
        "data": dict(found.data), "labels": [label.to_dict() for label in found.summary],
    })  # fmt: skip
    write_text(folder / "summary.md", summary_text(found, pictures=pictures))
    # Last: a reader who finds it finds all the others.
    write_json(folder / FILE, found.to_dict())
    progress(1.0, "written")
    return found


def summary_text(found: Assessment, *, pictures: bool = True) -> str:
    """Return summary.md."""
    model, data = found.model, found.data
    lines = [
        f"# {model['title']} ({model['id']} {model['version']}), measured",
        "",
        "**Research use only - not for diagnosis.**",
        "",
        f"{data['cases']} cases of {data['subjects']} subjects ({data['chosen']}) of the data set {data['name'] or '-'}"
        f"; weights SHA-256 {model['weights_sha256']}.",
        "",
        *label_tables(found),
        "",
        definitions(found),
        "",
    ]
    if found.failures:
        lines += ["## Cases without a result", "", *(f"- {c}: {r}" for c, r in found.failures.items()), ""]
    if pictures:
        lines += ["## Pictures", "", *(f"![{text}]({name})" for name, text, _ in PICTURES), ""]
    lines += worst_lines(found)
    if found.outside:
        lines += ["## Outside the domain", "", *outside_table(found.outside), "", flag_rates(found), ""]
    if found.commands:
        lines += ["## Commands", "", "```sh", *found.commands, "```", ""]
    return "\n".join(lines)


def worst_lines(found: Assessment, *, folder: str = "", level: str = "##") -> list[str]:
    """Return the Markdown lines about the worst cases; pictures are linked below ``folder``."""
    lines: list[str] = []
    # In the labels' order, whatever order a file gave them.
    known = [(label.name, found.worst[label.name]) for label in found.summary if label.name in found.worst]
    for name, items in known:
        if items:
            lines += [f"- {name}: " + ", ".join(f"{item['case']} (Dice {item['dice']})" for item in items)]
    for name, items in known:
        for item in items:
            if item["picture"]:
                lines += ["", f"![{name}: case {item['case']}]({folder}{item['picture']})"]
    return [f"{level} Worst cases", "", *lines, ""] if lines else []


def _worst(
    found: Assessment, folder: Path, cases: Sequence[CaseFiles], pictures: bool, progress: ProgressFn,
    cancel: CancelToken,
) -> dict[str, list[dict[str, str]]]:  # fmt: skip
    """Name and draw the worst cases; each case's files are read once."""
    files = {item.case: item for item in cases}
    labels = {item.label: item.name for item in found.summary if item.label}
    chosen = {label: worst_rows(found.rows, label) for label in labels}
    wanted = [(label, rank, row) for label, rows in chosen.items() for rank, row in enumerate(rows, start=1)]
    names = {(label, row.case): f"worst/{label}-{rank}-{file_stem(row.case)}.png" for label, rank, row in wanted}
    drawn = set()
    if pictures and wanted:
        ensure_folder(folder / "worst")
        for old in (folder / "worst").glob("*-*-*.png"):
            if f"worst/{old.name}" not in names.values():
                old.unlink()  # of an earlier run with other cases
        by_case = sorted({row.case for _, _, row in wanted})
        for number, case in enumerate(by_case):
            cancel.check()
            progress(number / len(by_case), f"drawing {case}")
            try:
                image, reference = read_image(files[case]), read_labelmap(files[case].label_file)
                mask = read_labelmap(folder / MASKS / f"{file_stem(case)}.nii.gz")
            except (MedAIError, KeyError):
                continue  # the numbers stand without the picture
            for label, rank, row in wanted:
                if row.case == case:
                    path = folder / names[label, case]
                    draw_worst(path, image, reference, mask, row, rank=rank, title=str(found.model["title"]))
                    drawn.add((label, case))
    return {
        labels[label]: [
            {
                "case": row.case,
                "dice": f"{row.dice:.3f}",
                "picture": names[label, row.case] if (label, row.case) in drawn else "",
            }
            for row in rows
        ]
        for label, rows in chosen.items()
    }


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people to read, atomically: sorted keys, two spaces."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
