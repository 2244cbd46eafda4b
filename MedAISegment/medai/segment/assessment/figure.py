"""Figures as small PNG files: no window, no state, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.atomic import atomic_path
from medai.core.errors import DependencyError

RESEARCH_USE = "Research use only - not for diagnosis."
DPI = 100
TEXT, SMALL = 10, 9
INK, GREY, BLUE, ORANGE = "#1a1a1a", "#5f6670", "#0b6bb5", "#c2410c"


def require_matplotlib() -> None:
    """Check that pictures can be drawn, before anything is computed for them.

    Raises
    ------
    DependencyError
        If matplotlib is missing or broken.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise DependencyError(
            "The package matplotlib, which draws the pictures, is missing or does not work.",
            hint="Install it (pip install 'matplotlib>=3.10'), or ask for no pictures (--no-pictures).",
        ) from None


def new_figure(width: float, height: float, **more: Any) -> Any:
    """Return an empty figure of a size in inches, at 100 dots an inch, without pyplot's state."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=more.pop("facecolor", "white"), **more)
    FigureCanvasAgg(figure)
    return figure


def footed(figure: Any, title: str, notes: Sequence[str] = (), *, color: str = INK) -> tuple[float, float]:
    """Write title, notes and the intended use; return the space for the rest as shares (bottom, top) of the height."""
    line = 1.55 * TEXT / 72 / figure.get_figheight()
    figure.text(0.5, 1 - 0.5 * line, title, ha="center", va="top", fontsize=TEXT + 2, weight="bold", color=color,
                parse_math=False)  # fmt: skip
    lines = [*notes, RESEARCH_USE]
    for number, text in enumerate(reversed(lines)):
        weight = "bold" if number == 0 else "normal"
        figure.text(0.5, (0.45 + number) * line, text, ha="center", va="bottom", fontsize=SMALL, color=color,
                    weight=weight, parse_math=False)  # fmt: skip
    return (len(lines) + 0.8) * line, 1 - 2.1 * line


def plain_axes(axes: Any) -> None:
    """Take away what carries nothing: the frame's upper and right sides; leave a faint grid."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color="#d9dde2", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, colors=INK)


def wrapped(name: str, width: int) -> str:
    """Return a name broken into lines of about a width, cut after three lines."""
    import textwrap

    return "\n".join(textwrap.wrap(name, width, max_lines=3, placeholder=" ...")) or name


def save(figure: Any, path: Path) -> None:
    """Write a figure as a PNG of at most 256 colours, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from PIL import Image

    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    stream.seek(0)
    with Image.open(stream) as picture, atomic_path(path) as temporary:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(temporary, format="PNG", optimize=True)
