"""The cases of an assessment as pictures: box plots, volumes against the reference, and Bland and Altman's plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .figure import BLUE, GREY, INK, ORANGE, SMALL, TEXT, footed, new_figure, plain_axes, save, wrapped
from .result import Assessment
from .rows import Row
from .summary import Estimate, LabelSummary

COLUMNS = 3
PANEL = (3.6, 3.5)
"""Width and height of a panel in inches."""
_DOTS: dict[str, Any] = {"s": 16, "color": BLUE, "alpha": 0.65, "linewidths": 0, "zorder": 3}


def box_plots(found: Assessment, path: Path) -> None:
    """Draw Dice and HD95 of each label: box from quartile to quartile, line at the median, a dot for each case.

    Whiskers reach to the farthest case within 1.5 box lengths (Tukey).

    Raises
    ------
    DependencyError
        If matplotlib is missing.
    OutputError
        If the file cannot be written.
    """
    labels = _labels(found)
    figure = new_figure(9.0, max(3.0, 1.9 + 0.62 * len(labels)))
    notes = [f"Box: quartiles and median. Whiskers: within 1.5 box lengths. Dots: {len(found.cases)} cases."]
    bottom, top = footed(figure, f"{found.model['title']}: agreement with the reference", notes)
    room = (top - bottom) - 0.55 / figure.get_figheight()
    lower = bottom + 0.5 / figure.get_figheight()
    longest = max(len(line) for item in labels for line in wrapped(item.name, 22).split("\n"))
    left = min(0.26, 0.03 + 0.0092 * longest)
    width = (0.97 - left - 0.05) / 2
    for number, (key, title) in enumerate((("dice", "Dice"), ("hd95_mm", "HD95 in mm"))):
        axes = figure.add_axes((left + number * (width + 0.05), lower, width, room))
        _boxes(axes, found, labels, key)
        axes.set_xlabel(title, fontsize=TEXT, color=INK)
        if number:
            axes.set_yticklabels([])
    save(figure, path)


def volume_plots(found: Assessment, path: Path) -> None:
    """Draw found against reference volume for each label, with the line of identity, r and ICC; raises as above."""

    def panel(axes: Any, rows: Sequence[Row], label: LabelSummary) -> None:
        x, y = _volumes(rows)
        low, high = _limits(np.concatenate([x, y]))
        axes.plot([low, high], [low, high], color=GREY, linewidth=1.2, zorder=2)
        axes.scatter(x, y, **_DOTS)
        axes.set(xlim=(low, high), ylim=(low, high))
        axes.set_aspect("equal")
        axes.set_xlabel("Reference volume in mL", fontsize=SMALL, color=INK)
        axes.set_ylabel("Found volume in mL", fontsize=SMALL, color=INK)
        text = f"r {_with_limits(label.agreement['pearson_r'])}\nICC {_with_limits(label.agreement['icc_a1'])}"
        # Above the plot, where no case can lie below it.
        axes.annotate(
            text, (0.5, 1.0), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", ha="center",
            va="bottom", fontsize=SMALL, color=INK,
        )  # fmt: skip

    level = f"{100 * found.settings.confidence:g} %"
    _panels(found, path, "volumes", panel, [f"Line: identity. In brackets: {level} bootstrap intervals."], above=0.38)


def bland_altman_plots(found: Assessment, path: Path) -> None:
    """Draw the difference of the volumes against their mean, with bias and limits of agreement; raises as above.

    Source: Bland and Altman, Lancet 1986; 327:307.
    """

    def panel(axes: Any, rows: Sequence[Row], label: LabelSummary) -> None:
        x, y = _volumes(rows)
        axes.scatter((x + y) / 2, y - x, **_DOTS)
        estimates = [label.agreement[key] for key in ("bias_ml", "lower_limit_ml", "upper_limit_ml")]
        known = [e.value for e in estimates if e.value is not None]
        low, high = _limits(np.concatenate([y - x, known, [0.0]]), room=0.16)
        axes.set_ylim(low, high)
        axes.set_xlim(*_limits((x + y) / 2, room=0.12))
        axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
        for name, estimate in zip(("bias", "-1.96 SD", "+1.96 SD"), estimates, strict=True):
            if estimate.value is None:
                continue
            bias = name == "bias"
            axes.axhline(estimate.value, color=ORANGE, linewidth=1.4, linestyle="-" if bias else "--", zorder=2)
            axes.annotate(
                f"{name} {estimate.value:+.3f}", (1.0, estimate.value), xycoords=("axes fraction", "data"),
                xytext=(3, 0), textcoords="offset points", va="center", fontsize=SMALL, color=ORANGE,
            )  # fmt: skip
        axes.set_xlabel("Mean of both volumes in mL", fontsize=SMALL, color=INK)
        axes.set_ylabel("Found - reference in mL", fontsize=SMALL, color=INK)

    notes = ["Solid: bias (mean difference). Dashed: limits of agreement, bias -/+ 1.96 SD."]
    _panels(found, path, "Bland-Altman", panel, notes, right=1.35)


def _labels(found: Assessment) -> list[LabelSummary]:
    return [item for item in found.summary if item.label]


def _boxes(axes: Any, found: Assessment, labels: Sequence[LabelSummary], key: str) -> None:
    plain_axes(axes)
    for place, item in enumerate(labels):
        values = np.array([v for r in found.rows if r.label == item.label and (v := getattr(r, key)) is not None])
        if not len(values):
            axes.text(0.5, place, "undefined in every case", ha="center", va="center", fontsize=SMALL, color=GREY,
                      transform=axes.get_yaxis_transform())  # fmt: skip
            continue
        axes.boxplot(
            [values], positions=[place], orientation="horizontal", widths=0.62, showfliers=False, zorder=2,
            patch_artist=True,
            boxprops={"facecolor": "#dbe8f3", "edgecolor": INK}, medianprops={"color": ORANGE, "linewidth": 2.0},
            whiskerprops={"color": INK}, capprops={"color": INK},
        )  # fmt: skip
        # Dots side by side, not on top of each other: a fixed zigzag, so that the picture is the same each time.
        aside = 0.2 * ((np.argsort(np.argsort(values, kind="stable")) % 5) - 2) / 2
        axes.scatter(values, place + aside, **_DOTS)
    axes.set_yticks(range(len(labels)))
    names = axes.set_yticklabels([wrapped(item.name, 22) for item in labels], fontsize=SMALL)
    for name in names:
        name.set_parse_math(False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(False, axis="y")
    if key != "dice":
        axes.set_xlim(left=0.0)


def _panels(
    found: Assessment, path: Path, what: str, draw: Callable[[Any, Sequence[Row], LabelSummary], None],
    notes: Sequence[str], *, right: float = 0.25, above: float = 0.0,
) -> None:  # fmt: skip
    labels = _labels(found)
    columns = min(COLUMNS, max(1, len(labels)))
    lines = math.ceil(len(labels) / columns)
    wide, tall = PANEL[0] + right, PANEL[1] + above
    # A single panel is narrower than the texts around it.
    width, height = max(5.6, columns * wide), lines * tall + 1.0
    figure = new_figure(width, height)
    bottom, top = footed(figure, f"{found.model['title']}: {what}", notes)
    cell = (top - bottom) / lines
    margin = (width - columns * wide) / 2
    for number, label in enumerate(labels):
        line, column = divmod(number, columns)
        x = (margin + column * wide + 0.75) / width
        y = top - (line + 1) * cell + 0.55 / height
        axes = figure.add_axes((x, y, (wide - 0.75 - right) / width, cell - (0.95 + above) / height))
        plain_axes(axes)
        rows = [r for r in found.rows if r.label == label.label and r.reference_ml and r.predicted_ml is not None]
        axes.set_title(wrapped(label.name, 34), fontsize=TEXT, color=INK, parse_math=False, pad=6 + 72 * above)
        if rows:
            draw(axes, rows, label)
        else:
            axes.text(0.5, 0.5, "no case with this label", ha="center", va="center", fontsize=TEXT, color=GREY,
                      transform=axes.transAxes)  # fmt: skip
    save(figure, path)


def _volumes(rows: Sequence[Row]) -> tuple[Any, Any]:
    return np.array([r.reference_ml for r in rows]), np.array([r.predicted_ml for r in rows])


def _limits(values: Any, room: float = 0.08) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    more = room * (high - low) or max(0.1 * abs(high), 1e-3)
    return low - more, high + more


def _with_limits(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    if estimate.ci_low is None or estimate.ci_high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.ci_low:.3f}, {estimate.ci_high:.3f}]"
