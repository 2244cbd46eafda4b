"""The FROC curve as a picture."""

from __future__ import annotations

from pathlib import Path

from ..assessment.figure import BLUE, ORANGE, footed, new_figure, plain_axes, save
from .froc import Froc

LOWEST, HIGHEST = 0.0625, 16.0


def draw_froc(result: Froc, path: str | Path, title: str) -> None:
    """Write the curve with the seven points of LUNA16 and their intervals as a PNG.

    Raises
    ------
    DependencyError
        If matplotlib is missing.
    OutputError
        If the file cannot be written.
    """
    figure = new_figure(6.4, 5.0)
    note = f"{result.findings} findings in {result.scans} scans; mean sensitivity {result.cpm:.3f}"
    if result.cpm_interval:
        note += f" ({result.cpm_interval[0]:.3f} to {result.cpm_interval[1]:.3f})"
    bottom, top = footed(figure, title, [note])
    axes = figure.add_axes((0.12, bottom + 0.11, 0.83, top - bottom - 0.14))
    # On a logarithmic axis there is no place for 0: the curve starts at the left border.
    x = [max(value, LOWEST) for value in (*result.curve_fps, HIGHEST)]
    y = [*result.curve_sensitivity, result.curve_sensitivity[-1]]
    axes.plot(x, y, color=BLUE, linewidth=1.6)
    axes.plot(result.rates, result.sensitivity, "o", color=ORANGE, markersize=5)
    if result.low and result.high:
        for rate, low, high in zip(result.rates, result.low, result.high, strict=True):
            axes.plot([rate, rate], [low, high], color=ORANGE, linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(LOWEST, HIGHEST)
    axes.set_ylim(0, 1.02)
    ticks = [0.125, 0.25, 0.5, 1, 2, 4, 8]
    axes.set_xticks(ticks, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlabel("False positives per scan")
    axes.set_ylabel("Sensitivity")
    plain_axes(axes)
    save(figure, Path(path))
