"""An assessment as Markdown tables; what summary.md and a model card show."""

from __future__ import annotations

from collections.abc import Sequence

from .outside_row import OutsideRow
from .result import Assessment
from .summary import Estimate, Spread

_SPREADS = (
    ("Dice", "dice", 3),
    ("HD95 in mm", "hd95_mm", 2),
    ("ASSD in mm", "assd_mm", 2),
    ("Volume error in mL", "volume_error_ml", 3),
    ("Volume error in %", "volume_error_percent", 1),
)
_ESTIMATES = (
    ("Pearson r", "pearson_r", 3),
    ("ICC(A,1)", "icc_a1", 3),
    ("Bias in mL", "bias_ml", 3),
    ("Lower limit in mL", "lower_limit_ml", 3),
    ("Upper limit in mL", "upper_limit_ml", 3),
)


def label_tables(found: Assessment) -> list[str]:
    """Return the lines of the tables about labels: each measure's mean and interval, its spread, the volumes."""
    level = f"{100 * found.settings.confidence:g} %"
    # The mean error in mL is the bias of the third table.
    first = [column for column in _SPREADS if column[1] != "volume_error_ml"]
    lines = [f"Mean [{level} interval]:", ""]
    lines += table(
        ["Label", "Cases", "Undefined", *(title for title, _, _ in first)],
        [
            [
                cell(item.name), str(item.cases), _undefined(item.measures["hd95_mm"], item.failed),
                *(interval_of(item.measures.get(key), digits) for _, key, digits in first),
            ]
            for item in found.summary
        ],
    )  # fmt: skip
    lines += ["", "Mean (SD); median; minimum to maximum:", ""]
    lines += table(
        ["Label", *(title for title, _, _ in _SPREADS)],
        [
            [cell(item.name), *(_spread(item.measures.get(key), digits) for _, key, digits in _SPREADS)]
            for item in found.summary
        ],
    )
    lines += ["", f"Volumes found by the model against the reference's [{level} interval]:", ""]
    lines += table(
        ["Label", "Cases", *(title for title, _, _ in _ESTIMATES)],
        [
            [
                cell(item.name), str(item.agreement["pearson_r"].n),
                *(interval_of(item.agreement[key], digits) for _, key, digits in _ESTIMATES),
            ]
            for item in found.summary
            if item.label
        ],
    )  # fmt: skip
    return lines


def definitions(found: Assessment) -> str:
    """Return one paragraph on what the tables' columns mean."""
    how = "bias-corrected and accelerated (BCa) " if found.settings.interval == "bca" else "percentile "
    return (
        "Dice is 2 TP / (2 TP + FP + FN), and 0 if only one of reference and result is empty. HD95 is the larger of "
        "the two directed 95th percentiles of the distances between the surfaces, ASSD the mean of all distances; "
        "both are undefined where one is empty, and undefined numbers are left out of a mean and counted. Volume "
        "error is found minus reference. ICC(A,1), also called ICC(2,1), is the intraclass correlation for absolute "
        "agreement (McGraw and Wong 1996); limits are Bland and Altman's, bias -/+ 1.96 SD. Intervals are "
        f"{how}bootstrap intervals of {found.settings.resamples} draws of subjects, seed {found.settings.seed}."
    )


def outside_table(rows: Sequence[OutsideRow]) -> list[str]:
    """Return the lines of the table about inputs outside the domain."""
    return table(
        ["Input", "What it is", "What came out", "Flags", "Verdict"],
        [
            [cell(row.name), cell(row.what), _came(row), ", ".join(row.flags) or "none", f"**{row.verdict}**"]
            for row in rows
        ],
    )


def flag_rates(found: Assessment) -> str:
    """Say how often each flag was raised on the measured cases themselves, which belong to the domain."""
    flags: dict[str, tuple[str, ...]] = {row.case: row.flags for row in found.rows if row.status != "failed"}
    if not flags:
        return "No case has a result."
    counts: dict[str, int] = {}
    for codes in flags.values():
        for code in codes:
            counts[code] = counts.get(code, 0) + 1
    total = len(flags)
    if not counts:
        return f"None of the {total} measured cases of the domain carries a warning."
    named = ", ".join(f"{code} on {count}" for code, count in sorted(counts.items()))
    free = sum(not codes for codes in flags.values())
    return f"Of the {total} measured cases of the domain {free} carry no warning; the others: {named}."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def cell(text: str) -> str:
    """Return text as a Markdown table's cell: one line, no sign that Markdown or HTML would take for its own."""
    one = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for sign in "\\|`*_[]<>":
        one = one.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return one


def interval_of(value: Spread | Estimate | None, digits: int) -> str:
    """Return ``0.902 [0.891, 0.912]``; without an interval the number alone, ``-`` if there is none."""
    if value is None:
        return "-"
    number = value.mean if isinstance(value, Spread) else value.value
    if number is None:
        return "-"
    if value.ci_low is None or value.ci_high is None:
        return _shown(number, digits)
    return f"{_shown(number, digits)} [{_shown(value.ci_low, digits)}, {_shown(value.ci_high, digits)}]"


def _spread(value: Spread | None, digits: int) -> str:
    if value is None or value.mean is None:
        return "-"
    mean, sd, median, low, high = (
        _shown(v, digits) for v in (value.mean, value.sd, value.median, value.minimum, value.maximum)
    )
    return f"{mean} ({sd}); {median}; {low} to {high}"


def _shown(value: float | None, digits: int) -> str:
    """Return a number of so many decimals; what is the same but for the last bits is shown the same."""
    return "-" if value is None else f"{round(value, 9) + 0.0:.{digits}f}"


def _undefined(hd95: Spread, failed: int) -> str:
    return f"{hd95.undefined}" + (f" ({failed} failed)" if failed else "")


def _came(row: OutsideRow) -> str:
    if row.status != "segmented":
        return cell(row.message)
    return "; ".join(f"{cell(name)} {volume:.2f} mL" for name, volume in sorted(row.volumes_ml.items())) or "no label"
