"""What a model's card states about its accuracy, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .text import flatten

_MEASURES = (("dice", "Dice", 3), ("hd95_mm", "HD95 in mm", 2), ("volume_error_percent", "Volume error in %", 1))


def performance_table(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a model as a table, and what does not fit the table as lines.

    Parameters
    ----------
    metrics : mapping
        A manifest's ``metrics``: ``labels`` holds, by label, ``cases`` and for each measure its mean, SD and range.

    Returns
    -------
    dict
        ``head`` (column titles), ``rows`` (label, cases, then ``mean (SD), minimum to maximum`` texts) and ``rest``
        (pairs of path and text).
    """
    labels = metrics.get("labels")
    rows = []
    for name, row in labels.items() if isinstance(labels, Mapping) else ():
        if isinstance(row, Mapping) and all(_is_spread(row.get(key)) for key, _, _ in _MEASURES):
            rows.append([str(name), str(row.get("cases", "")), *(_spread(row[key], d) for key, _, d in _MEASURES)])
    complete = bool(rows) and isinstance(labels, Mapping) and len(rows) == len(labels)
    rest = {key: value for key, value in metrics.items() if not (complete and key == "labels")}
    return {
        "head": ["Label", "Cases", *(f"{title}: mean (SD), range" for _, title, _ in _MEASURES)],
        "rows": rows if complete else [],
        "rest": flatten(rest) if rest else [],
    }


def _is_spread(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        value.get(key) is None or isinstance(value.get(key), (int, float))
        for key in ("mean", "sd", "minimum", "maximum")
    )


def _spread(value: Mapping[str, Any], digits: int) -> str:
    if value.get("mean") is None:
        return "undefined"
    mean, sd, low, high = (_number(value.get(key), digits) for key in ("mean", "sd", "minimum", "maximum"))
    return f"{mean} ({sd}), {low} to {high}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
