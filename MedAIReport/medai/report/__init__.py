"""Reports for research: one versioned data model (report.json), and renderings of it.

``build_report`` makes a :class:`Report`; ``render(report, "html", path)`` writes it; a new rendering is one file in
``renderers``.
"""

from __future__ import annotations

from .build import build_report
from .model import Identity, Report
from .renderer import RENDERERS, Renderer, render

__all__ = ["RENDERERS", "Identity", "Renderer", "Report", "build_report", "render"]
