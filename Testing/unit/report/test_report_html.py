"""The HTML file: well formed, self-contained, escaped, readable, and the same numbers as report.json."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from medai.core.errors import ReportError
from medai.core.labelmap import Code, LabelMap, Segment
from medai.features import extract
from medai.report import Identity, Report
from medai.report.renderers import html as html_module
from medai.report.renderers.html import TEMPLATES, HtmlRenderer

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'/><svg onload=alert(1)>",
    "{{7*7}}{% include 'report.css' %}{# gone #}",
    "${7*7}",
    "javascript:alert(1)",
    "</style><script>alert(1)</script>",
    "]]><!--",
    "&lt;b&gt; &amp; &#60;",
    "a\x00b\x1b[31mc",
    "\u202egpj.exe",
    "x" * 300,
    "=cmd|' /C calc'!A0",
    "😀 脳 ../../x CON \\",
]
TAGS = {
    "html", "head", "meta", "title", "style", "body", "div", "span", "header", "h1", "h2", "h3", "h4", "p", "nav", "a",
    "main", "section", "article", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
    "figure", "img", "figcaption", "strong", "footer", "wbr",
}  # fmt: skip


def _html(report: Report) -> str:
    return HtmlRenderer().encode(report).decode("utf-8")


def _attacked(kit: SimpleNamespace, bad: str) -> Report:
    volume, labels = kit.case()
    code = Code(bad[:16], bad[:16], bad)
    segments = [Segment(1, bad or "a", type=code, modifier=labels.segments[0].modifier), *labels.segments[1:]]
    model = dict.fromkeys(
        ("id", "title", "version", "licence", "sha256", "intended_use", "training_data", "citation"), bad
    )
    labels = labels.replace(segments=tuple(segments), meta={bad: {bad: [bad]}})
    return kit.report(
        volume.replace(name=bad, modality=bad[:30]), labels, model={**model, "limits": [bad], "metrics": {bad: bad}},
        protocol={"title": bad, "question": bad, "pipeline": [{"step": bad}], bad: bad},
        provenance={bad: bad}, times={bad: 1.0},
        identity=Identity(pseudonym=bad, name=bad, sex=bad, age=bad, study_date=bad, accession=bad),
    )  # fmt: skip


@pytest.mark.parametrize("bad", ATTACKS, ids=range(len(ATTACKS)))
def test_every_text_is_escaped(kit: SimpleNamespace, bad: str) -> None:
    report = _attacked(kit, bad)
    page = kit.page(_html(report))
    assert not page.problems
    assert {tag for tag, _ in page.tags} <= TAGS
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#") is not None
        assert str(attributes.get("href", "#")).startswith("#")
        if "src" in attributes:
            assert str(attributes["src"]).startswith("data:image/png;base64,")
        if "style" in attributes:
            assert re.fullmatch(r"background:#[0-9a-f]{6}", str(attributes["style"]))
    shown = report.findings[0].segment
    assert shown in page.text
    assert report.task.title in page.text
    assert report.identity.name in page.text
    assert Report.from_json(report.to_json()) == report


def test_no_byte_of_control(kit: SimpleNamespace) -> None:
    text = _html(_attacked(kit, "a\x00b\x1b[31mc\u202ed"))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)


def test_well_formed_and_self_contained(kit: SimpleNamespace, report: Report) -> None:
    text = _html(report)
    page = kit.page(text)
    assert not page.problems
    assert text.startswith("<!DOCTYPE html>")
    policy = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not re.search(r"https?://|url\(|@import|<script|<link|<iframe", text)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag == "a":
            assert str(attributes["href"])[1:] in ids
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
        if tag == "img":
            assert attributes["alt"]
            assert attributes["width"]
    assert next(a for t, a in page.tags if t == "html")["lang"] == "en"


def test_every_section_is_there_in_order(kit: SimpleNamespace, report: Report) -> None:
    page = kit.page(_html(report))
    assert [a["id"] for t, a in page.tags if t == "h2"] == [f"s{n}" for n in range(1, 15)]
    for word in ("Not available: no prior examination was given.", "no attribution was computed", "DRAFT"):
        assert word in page.text


def test_research_use_only_cannot_be_left_out(kit: SimpleNamespace, report: Report) -> None:
    page = kit.page(_html(report))
    assert page.text.count("Research use only - not for diagnosis") >= 2
    assert "Quality: green" in page.text


def test_reviewed_report_names_its_reviewer(kit: SimpleNamespace, report: Report) -> None:
    data = json.loads(report.to_json())
    data["banner"] |= {"status": "REVIEWED", "reviewer": "Dr <b>", "reviewed_at": "2026-04-01T08:00:00Z"}
    data["sign_off"] = {"decision": "edited", "edits": "Dice 0.97", "comment": ""}
    page = kit.page(_html(Report.from_json(json.dumps(data))))
    assert "reviewed by Dr <b>, 2026-04-01T08:00:00Z" in page.text
    assert "Dice 0.97" in page.text
    assert "Nobody has checked" not in page.text


def test_every_number_is_the_jsons(kit: SimpleNamespace, report: Report) -> None:
    data = json.loads(report.to_json())
    page = kit.page(_html(report))
    texts = {row["quantity"]["text"] for row in data["radiomics"]["rows"]}
    for finding in data["findings"]:
        name = finding["segment"]
        for key in ("volume", "longest_diameter", "mean", "sd"):
            text = finding[key]["text"]
            assert text in texts, "a finding is a row of the table, in the same words"
            assert f"{text}" in page.text
        start = page.text.index(f"{name} Volume ")
        volume, longest, mean = (finding[key]["text"] for key in ("volume", "longest_diameter", "mean"))
        expected = f"{name} Volume {volume} Longest diameter {longest} Mean intensity {mean}"
        assert page.text[start:].startswith(expected)
    for text in texts:
        assert text in page.text
    known = texts | {row[key]["text"] for row in data["sides"] for key in ("left", "right", "asymmetry")}
    for line in data["summary"]:
        assert line in page.text
        for number in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)? (?:mL|mm|%|a\.u\.|HU)", line):
            assert number in known


def test_feature_table_has_every_value(kit: SimpleNamespace, report: Report) -> None:
    rows = report.radiomics.rows
    blocks = html_module.feature_blocks(rows)
    cells = [
        text for block in blocks for family in block["families"] for row in family["rows"] for text in row["texts"]
    ]
    assert sorted(cells) == sorted(row.quantity.text for row in rows)
    page = kit.page(_html(report))
    for code in {row.ibsi for row in rows} - {""}:
        assert code in page.text


def test_many_segments_go_into_several_tables(kit: SimpleNamespace, report: Report) -> None:
    rows = [row.model_copy(update={"segment": f"s{n}"}) for n in range(9) for row in report.radiomics.rows[:3]]
    blocks = html_module.feature_blocks([*rows[:-1]])
    assert [len(block["segments"]) for block in blocks] == [4, 4, 1]
    assert blocks[2]["families"][0]["rows"][2]["texts"] == ["not measured"]


def test_undefined_values_give_their_reason(kit: SimpleNamespace, shrink) -> None:
    volume, labels = kit.case()
    page = kit.page(_html(kit.report(volume, shrink(labels, 1))))
    assert "Undefined values" in page.text
    assert "undefined" in page.text


def test_empty_segments_and_missing_families(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    empty = labels.replace(array=np.zeros_like(labels.array))
    page = kit.page(_html(kit.report(volume, empty)))
    assert not page.problems
    assert "This segment is empty" in page.text
    table = extract(volume, labels, {"families": {"shape": {}}})
    page = kit.page(_html(kit.report(volume, labels, table, pictures=False)))
    assert "Mean intensity not available" in page.text
    assert "Key images were not asked for." in page.text
    bare = LabelMap(empty.array, empty.geometry)
    assert "There are no segments." in kit.page(_html(kit.report(volume, bare))).text


def test_twenty_noisy_segments_stay_below_5_mb(kit: SimpleNamespace) -> None:
    rng = np.random.default_rng(2)
    volume, _ = kit.case()
    array = rng.integers(0, 4000, (90, 90, 90)).astype(np.int16)
    labels = np.zeros(array.shape, np.uint8)
    for n in range(20):
        k, j = divmod(n, 5)
        labels[20 * k + 5 : 20 * k + 18, 15 * j + 5 : 15 * j + 17, 20:70] = n + 1
    grid = volume.geometry.from_spacing(array.shape, (0.5, 0.5, 0.5))
    case = volume.replace(array=array, geometry=grid), LabelMap(labels, grid)
    report = kit.report(*case, extract(*case, {"families": {"first_order": {}}}))
    assert sum(len(f.images) for f in report.findings) == 60
    assert min(i.width_px for f in report.findings for i in f.images) >= 192
    assert len(HtmlRenderer().encode(report)) <= 5_000_000
    assert len(report.to_json()) <= 5_000_000


def test_more_segments_than_pictures(kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medai.report.findings.MAX_SEGMENTS", 2)
    volume, labels = kit.case()
    report = kit.report(volume, labels)
    assert [bool(f.images) for f in report.findings] == [True, True, False, False], "the two largest"
    assert report.findings[2].note == "No key images: they are drawn for the 2 largest segments only."
    assert report.findings[2].note in kit.page(_html(report)).text


def test_a_file_that_would_be_too_large_is_refused(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_module, "MAX_BYTES", 1000)
    with pytest.raises(ReportError, match="at most 1000"):
        HtmlRenderer().encode(report)


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_meets_wcag_aa_in_light_and_dark() -> None:
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks[:2])
    assert set(light) == set(dark)
    pairs = [(text, ground) for text in ("text", "muted", "accent") for ground in ("page", "card", "stripe")]
    pairs += [(f"{name}-fg", f"{name}-bg") for name in ("warn", "green", "amber", "red")]
    for theme in (light, dark):
        for text, ground in pairs:
            low, high = sorted((_luminance(theme[text]), _luminance(theme[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_every_class_of_the_page_has_a_style(kit: SimpleNamespace, report: Report) -> None:
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    used = {name for _, a in kit.page(_html(report)).tags for name in str(a.get("class") or "").split()}
    assert {name for name in used if f".{name}" not in css} == set()
