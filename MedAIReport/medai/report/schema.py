"""The JSON schema of report.json: written from the model, committed beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .model import SCHEMA_VERSION, Report

FILE = Path(__file__).resolve().parent / "report.schema.json"


def report_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) that the model gives."""
    schema = Report.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:medai:report:{SCHEMA_VERSION}",
        **schema,
    }


def write_schema() -> None:
    """Write ``report.schema.json`` anew; run this after a change of the model: ``python -m medai.report.schema``."""
    FILE.write_text(json.dumps(report_schema(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schema()
