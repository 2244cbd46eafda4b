"""report.json, the form that every other rendering is made from."""

from __future__ import annotations

from ..model import Report
from ..renderer import Renderer


class JsonRenderer(Renderer):
    """The report's own JSON, valid against ``report.schema.json``."""

    name = "json"
    title = "JSON"
    suffix = ".json"

    def encode(self, report: Report) -> bytes:
        """Return UTF-8 text."""
        return report.to_json().encode("utf-8")
