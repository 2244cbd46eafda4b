"""Several folds of one training, each measured on the cases that it did not see, as one cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medai.core.errors import InputError

from .choice import HELD_BACK
from .result import Assessment
from .summary import DIGITS, spread, summarise
from .text import cell, interval_of, table


def cross_validation(folds: Sequence[Assessment]) -> dict[str, Any]:
    """Return the cross-validation of several folds, JSON-ready.

    Parameters
    ----------
    folds : sequence of Assessment
        In their order; each of another model, on its held-back cases.

    Returns
    -------
    dict
        ``folds`` (each ``fold`` from 1, ``cases``, ``mean_dice`` by label name, ``weights_sha256``), ``cases``, and
        ``pooled`` (label name -> the spread of Dice over all cases, with a bootstrap interval of the mean).

    Raises
    ------
    InputError
        If there are fewer than two folds, a fold was measured on other than held-back cases, a case or subject is in
        two folds, two are of the same weights, or labels or settings differ.
    """
    _require(folds)
    rows = [row for fold in folds for row in fold.rows]
    labels = {item.label: item.name for item in folds[0].summary if item.label}
    listed = []
    for number, fold in enumerate(folds, start=1):
        means = {item.name: item.measures["dice"].mean for item in fold.summary if item.label}
        listed.append({
            "fold": number,
            "cases": len(fold.cases),
            "mean_dice": {name: None if mean is None else round(mean, DIGITS) for name, mean in means.items()},
            "weights_sha256": fold.model["weights_sha256"],
        })  # fmt: skip
    pooled = {}
    for item in summarise(rows, folds[0].settings):
        name = labels.get(item.label, item.name)
        values = vars(item.measures["dice"])
        pooled[name] = {k: round(v, DIGITS) if isinstance(v, float) else v for k, v in values.items()}
    return {"folds": listed, "cases": len({row.case for row in rows}), "pooled": pooled}


def cross_validation_lines(folds: Sequence[Assessment]) -> list[str]:
    """Return the Markdown lines of a card's cross-validation; raises as :func:`cross_validation`."""
    found = cross_validation(folds)
    names = [item.name for item in folds[0].summary if item.label]
    rows = [
        [
            str(fold["fold"]), str(fold["cases"]),
            *("-" if fold["mean_dice"][name] is None else f"{fold['mean_dice'][name]:.3f}" for name in names),
        ]
        for fold in found["folds"]
    ]  # fmt: skip
    rows.append(["all", str(found["cases"]), *(interval_of(_pooled(folds, name), 3) for name in names)])
    level = f"{100 * folds[0].settings.confidence:g} %"
    return [
        f"{len(folds)} folds, each model measured on the cases that it did not see. Mean Dice by fold; the last row is "
        f"the mean over all cases [{level} bootstrap interval].",
        "",
        *table(["Fold", "Cases", *(cell(name) for name in names)], rows),
    ]


def _pooled(folds: Sequence[Assessment], name: str) -> Any:
    values = [(row.dice, row.subject) for fold in folds for row in fold.rows if row.name == name]
    return spread(values, folds[0].settings)


def _require(folds: Sequence[Assessment]) -> None:
    if len(folds) < 2:
        raise InputError(f"A cross-validation needs at least two folds, given {len(folds)}.")
    first = folds[0]
    labels = {row.label: row.name for row in first.rows}
    weights: set[str] = set()
    cases: set[str] = set()
    subjects: set[str] = set()
    for number, fold in enumerate(folds, start=1):
        if fold.data["chosen"] != HELD_BACK or fold.data["seen_in_training"]:
            raise InputError(
                f"Fold {number} was not measured on its held-back cases.", hint="Measure it with '--cases held-back'."
            )
        if {row.label: row.name for row in fold.rows} != labels:
            raise InputError(f"Fold {number} has other labels than fold 1.")
        if fold.settings != first.settings:
            raise InputError(f"Fold {number} was measured with other settings than fold 1.", hint="Measure it anew.")
        sha = str(fold.model["weights_sha256"])
        again = sorted((cases & set(fold.cases)) | (subjects & {row.subject for row in fold.rows}))
        if sha in weights or again:
            what = f"the case or subject {again[0]!r}" if again else "the weights"
            raise InputError(f"Fold {number} shares {what} with an earlier fold.", hint="Give each fold once.")
        weights.add(sha)
        cases |= set(fold.cases)
        subjects |= {row.subject for row in fold.rows}
