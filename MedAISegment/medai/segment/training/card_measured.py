"""The sections of a model card that come from assessments."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..assessment.choice import HELD_BACK
from ..assessment.crossed import cross_validation_lines
from ..assessment.result import Assessment
from ..assessment.text import definitions, flag_rates, label_tables, outside_table
from ..assessment.write import PICTURES, worst_lines


def measured_section(found: Assessment, pictures: str | None) -> list[str]:
    """Return the numbers of each label, and the worst cases.

    Parameters
    ----------
    pictures : str, optional
        Folder of the pictures, ending in ``/``; none are linked if not given.
    """
    data = found.data
    what = "held-back cases" if data["chosen"] == HELD_BACK else f"cases: {data['chosen']}"
    lines = [
        f"## Measured on the {what}" if data["chosen"] == HELD_BACK else f"## Measured on {what}",
        "",
        f"{data['cases']} cases of {data['subjects']} subjects of the data set {data['name'] or '-'}. {_seen(found)} "
        f"{_how(found)}",
        "",
        *label_tables(found),
        "",
        definitions(found),
        "",
    ]
    if found.failures:
        lines += ["Cases without a result:", "", *(f"- {c}: {r}" for c, r in sorted(found.failures.items())), ""]
    if pictures is not None:
        for name, text, _ in PICTURES:
            lines += [f"![{text}]({pictures}{name})", ""]
    shown = found if pictures is not None else _without_pictures(found)
    return [*lines, *worst_lines(shown, folder=pictures or "", level="###")]


def cross_validation_section(folds: Sequence[Assessment], *, pooled: bool) -> list[str]:
    """Return the table of folds; nothing if there are none.

    Parameters
    ----------
    pooled : bool
        Also show every measure over the cases of all folds: there is nothing better to say about the model.

    Raises
    ------
    InputError
        If they are no cross-validation.
    """
    if not folds:
        return []
    lines = ["## Cross-validation", "", *cross_validation_lines(folds), ""]
    if not pooled:
        return lines
    together = folds[0].replace(rows=tuple(row for fold in folds for row in fold.rows))
    return [
        *lines,
        f"The {len(together.cases)} cases of all folds together, each segmented by the model that never saw it; the "
        "published weights themselves were not measured. " + _how(together),
        "",
        *label_tables(together),
        "",
        definitions(together),
        "",
    ]


def outside_section(found: Assessment) -> list[str]:
    """Return what the model does with images that it is not made for; nothing if that was not measured."""
    if not found.outside:
        return []
    silent = [row.name for row in found.outside if row.silent]
    told = f"A mask came out without a warning for: {', '.join(silent)}." if silent else "No mask came out unflagged."
    return ["## Outside the domain", "", *outside_table(found.outside), "", f"{told} {flag_rates(found)}", ""]


def repeat_section(found: Assessment | None, folds: Sequence[Assessment]) -> list[str]:
    """Return the commands that give the card's numbers, and what computed them; nothing without an assessment."""
    commands = _commands(found, str(found.model["id"]), "measured") if found else []
    for number, fold in enumerate(folds, start=1):
        commands += _commands(fold, f"fold-{number}", f"measured-{number}")
    if not commands:
        return []
    software = dict(found.software) if found else dict(folds[0].software)
    return [
        "## How to repeat the numbers",
        "",
        "```sh",
        *dict.fromkeys(commands),
        "```",
        "",
        "The columns are explained in `docs/measuring-models.md`. Computed with "
        f"{', '.join(f'{name} {version}' for name, version in sorted(software.items()))}.",
        "",
    ]


def _commands(found: Assessment, model: str, out: str) -> list[str]:
    """Return the assessment's own commands, or the one that measures a model as its training did at the end."""
    if found.commands:
        return list(found.commands)
    which = HELD_BACK if found.data["chosen"] == HELD_BACK else "all"
    words = ["medai", "models", "measure", model, "--data", found.data["name"] or "FOLDER", "--cases", which]
    return [shlex.join([*words, "--out", out])]


def _seen(found: Assessment) -> str:
    seen = found.data["seen_in_training"]
    if seen is None:
        return "Whether the model was trained on some of them is not known."
    if seen:
        return f"**The model was trained on the subjects of {seen} of them.**"
    return "The model saw none of their subjects in training."


def _how(found: Assessment) -> str:
    s = found.settings
    where = {
        "image": "Each image is segmented as a whole",
        "atlas": "The structure is found by the atlas",
        "auto": "Each image is segmented as the model's own settings say",
    }[s.regions]
    return f"{where} ({s.device}, {s.backend}, {s.precision}) and compared on its own grid."


def _without_pictures(found: Assessment) -> Assessment:
    plain = {name: [{**item, "picture": ""} for item in items] for name, items in found.worst.items()}
    return found.replace(worst=plain)
