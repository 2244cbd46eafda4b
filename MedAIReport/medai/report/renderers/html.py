"""One self-contained HTML file: no script, no network, light, dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.errors import ReportError

from ..model import Fact, FeatureRow, Report
from ..performance import performance_table
from ..quantity import NOT_AVAILABLE, UNDEFINED, Quantity, format_number
from ..renderer import Renderer
from ..text import flatten

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
MAX_BYTES = 5 * 1024 * 1024
_COLUMNS = 4
"""Segments side by side in the table of features: what fits on a page."""
_FAMILIES = {"shape": "Shape", "first_order": "Intensity"}


class HtmlRenderer(Renderer):
    """The report as one HTML file for browsers and printers.

    Every text is escaped; the page's content security policy forbids scripts and everything that is not in the file.
    """

    name = "html"
    title = "HTML"
    suffix = ".html"
    requires = ("jinja2",)

    def encode(self, report: Report) -> bytes:
        """Return UTF-8 text.

        Raises
        ------
        ReportError
            If the file would be larger than :data:`MAX_BYTES`.
        """
        rows = report.radiomics.rows
        text = _environment().get_template("report.html.j2").render(
            r=report,
            exam=exam_lines(report.exam),
            probabilities=[(f.segment, f.probability.text) for f in report.findings if f.probability is not None],
            blocks=feature_blocks(rows),
            undefined=undefined_values(rows),
            performance=performance_table(report.model.metrics) if report.model else None,
        )  # fmt: skip
        data = text.encode("utf-8")
        if len(data) > MAX_BYTES:
            raise ReportError(
                f"The HTML report would have {len(data)} bytes; at most {MAX_BYTES} are written.",
                hint="Report fewer segments or feature families, or leave the key images out.",
            )
        return bytes(data)


def exam_lines(facts: Sequence[Fact]) -> list[tuple[str, str]]:
    """Return the known facts a line each, and the names of the others in one line."""
    lines = [(fact.label, fact.text) for fact in facts if fact.text]
    missing = [fact.label for fact in facts if not fact.text]
    return [*lines, (NOT_AVAILABLE.capitalize(), ", ".join(missing))] if missing else lines


def feature_blocks(rows: Sequence[FeatureRow]) -> list[dict[str, Any]]:
    """Return the features as tables of at most four segments: features down, segments across, families in order."""
    segments = list(dict.fromkeys(row.segment for row in rows))
    index = {(row.segment, row.family, row.feature): row for row in rows}
    known = {(row.family, row.feature): row for row in rows}
    families = list(dict.fromkeys(row.family for row in rows))
    blocks = []
    for start in range(0, len(segments), _COLUMNS):
        names = segments[start : start + _COLUMNS]
        groups = []
        for family in families:
            lines = []
            for key, first in known.items():
                if key[0] == family:
                    cells = [index.get((name, *key)) for name in names]
                    texts = [cell.quantity.text if cell else "not measured" for cell in cells]
                    lines.append({"title": first.title, "ibsi": first.ibsi, "texts": texts})
            groups.append({"name": _FAMILIES.get(family, family), "rows": lines})
        blocks.append({"segments": names, "families": groups})
    return blocks


def undefined_values(rows: Sequence[FeatureRow]) -> list[tuple[str, str, str]]:
    """Return (segment, reason, features) of the values that are undefined."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.quantity.value is None:
            found.setdefault((row.segment, row.quantity.reason or UNDEFINED), []).append(row.title)
    return [(segment, reason, _few(titles)) for (segment, reason), titles in found.items()]


def _few(titles: Sequence[str]) -> str:
    return ", ".join(titles) if len(titles) <= 6 else f"{len(titles)} features"


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(na=_na, number=_number, plain=_plain, flatten=flatten)
    return environment


def _na(text: str) -> str:
    return text or NOT_AVAILABLE


def _number(quantity: Quantity | None) -> str:
    return NOT_AVAILABLE if quantity is None else quantity.text


def _plain(value: float | str | None) -> str:
    if value is None:
        return ""
    return format_number(float(value)) if isinstance(value, (int, float)) else value
