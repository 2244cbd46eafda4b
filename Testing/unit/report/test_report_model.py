"""report.json: versioned, strict, the same after a round trip."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from medai.core.errors import ReportError
from medai.report import Report
from medai.report.model import NOTICE, Banner, KeyImage
from medai.report.schema import FILE, report_schema


def test_committed_schema_is_the_models() -> None:
    committed = json.loads(FILE.read_text(encoding="utf-8"))
    assert committed == report_schema(), (
        "the model changed: run python -m medai.report.schema, and think of the version"
    )


def test_report_json_is_valid_against_the_schema(report: Report) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(report_schema())
    jsonschema.Draft202012Validator(report_schema()).validate(json.loads(report.to_json()))


def test_round_trip(report: Report) -> None:
    text = report.to_json()
    again = Report.from_json(text)
    assert again == report
    assert again.to_json() == text
    assert Report.from_json(text.encode("utf-8")) == report


def test_nothing_can_be_changed(report: Report) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        report.summary = ("all is well",)  # type: ignore[misc]


def _broken(report: Report, *path: str | int, value: object) -> str:
    data = json.loads(report.to_json())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema_version",), "0.9", "schema_version"),
        (("surprise",), 1, "surprise"),
        (("banner", "notice"), "For diagnosis", "banner.notice"),
        (("findings", 0, "volume", "text"), "99 mL", "does not say the number"),
        (("findings", 0, "volume", "value"), 1e9, "does not say the number"),
        (("findings", 0, "color"), "red;background:url(x)", "findings.0.color"),
        (("findings", 0, "images", 0, "png_base64"), "AAAA", "no PNG"),
        (("findings", 0, "images", 0, "sha256"), "0" * 64, "SHA-256"),
        (("summary",), [], "summary"),
        (("summary",), ["a"] * 6, "summary"),
    ],
)
def test_a_damaged_report_is_refused(report: Report, path: tuple[str | int, ...], value: object, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        Report.from_json(_broken(report, *path, value=value))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "[" * 5000])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ReportError, match="cannot be read"):
        Report.from_json(text)


def test_not_a_number_is_refused(report: Report) -> None:
    text = report.to_json().replace('"touches_border": false', '"touches_border": NaN', 1)
    assert "NaN" in text
    with pytest.raises(ReportError, match="cannot be read"):
        Report.from_json(text)


def test_the_message_does_not_quote_the_value(report: Report) -> None:
    with pytest.raises(ReportError) as caught:
        Report.from_json(_broken(report, "identity", "sex", value=["DOE^JANE"]))
    assert "DOE" not in str(caught.value)
    assert "identity.sex" in str(caught.value)


def test_a_review_needs_a_reviewer() -> None:
    with pytest.raises(ValidationError, match="names its reviewer"):
        Banner(light="green", status="REVIEWED")
    assert Banner(light="green", status="REVIEWED", reviewer="A", reviewed_at="2026-01-01T00:00:00Z").notice == NOTICE


def test_key_image_holds_a_png(report: Report) -> None:
    image = report.findings[0].images[0].model_dump()
    with pytest.raises(ValidationError, match="base64"):
        KeyImage(**{**image, "png_base64": "A"})
