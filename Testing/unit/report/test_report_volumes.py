"""The section of derived volumes: rows, units, reasons, and the same numbers in JSON and HTML."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from medai.features import extract
from medai.features.volumetry import Derived, add_derived
from medai.report import Report
from medai.report.renderers.html import HtmlRenderer
from medai.report.volumes import make_volumes

DERIVED = Derived.parse({
    "totals": [
        {"name": "Left organ", "segments": ["Left organ front", "Left organ back"]},
        {"name": "Right organ", "segments": ["Right organ front", "Right organ back"]},
        {"name": "Organ", "segments": ["Left organ front", "Left organ back", "Right organ front", "Right organ back"]},
        {"name": "Front", "segments": ["Left organ front", "Right organ front"], "note": "both <sides>."},
    ],
    "pairs": [{"name": "Organ", "left": "Left organ", "right": "Right organ"}],
    "reference": "Organ",
})  # fmt: skip


@pytest.fixture
def table(kit: SimpleNamespace):
    volume, labels = kit.case()
    return add_derived(extract(volume, labels), labels, DERIVED)


def test_a_pair_is_one_row_and_other_totals_follow(table) -> None:
    found = make_volumes(table)
    assert [row.structure for row in found.rows] == ["Organ", "Front"]
    organ, front = found.rows
    # 10 x 10 x 8 and 10 x 12 x 8 voxels on the left, 10 x 8 x 8 and 10 x 10 x 8 on the right, of 1 mm3.
    assert (organ.left.text, organ.right.text, organ.total.text) == ("1.76 mL", "1.44 mL", "3.20 mL")
    assert organ.asymmetry.text == "20.0 %"
    assert (organ.left_share.text, organ.right_share.text) == ("550.00 ‰", "450.00 ‰")
    assert organ.total_share is None
    assert (front.left, front.asymmetry, front.total.text, front.total_share.text) == (
        None,
        None,
        "1.44 mL",
        "450.00 ‰",
    )
    assert found.reference_volume.text == "3.20 mL"


def test_html_shows_the_numbers_of_the_json(kit: SimpleNamespace, table) -> None:
    volume, labels = kit.case()
    report = kit.report(volume, labels, table)
    data = json.loads(report.to_json())["volumes"]
    page = kit.page(HtmlRenderer().encode(report).decode("utf-8"))
    assert not page.problems
    assert "Volumes Structure Left Right Asymmetry index Total Left share Right share Total share" in page.text
    assert "Organ 1.76 mL 1.44 mL 20.0 % 3.20 mL 550.00 ‰ 450.00 ‰" in page.text
    for row in data["rows"]:
        for cell in row.values():
            if isinstance(cell, dict):
                assert cell["text"] in page.text
    assert "Front: both <sides>." in page.text
    assert Report.from_json(report.to_json()) == report
    assert "volumetry" not in {row.family for row in report.radiomics.rows}


def test_what_is_undefined_says_why(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    emptied = labels.replace(array=np.where(labels.array == 3, 0, labels.array))
    report = kit.report(volume, emptied, add_derived(extract(volume, emptied), emptied, DERIVED))
    page = kit.page(HtmlRenderer().encode(report).decode("utf-8"))
    assert report.volumes.rows[0].right.value is None
    assert "Undefined: Organ: no voxels in Right organ front." in page.text


def test_without_derived_volumes_there_is_no_section(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    report = kit.report(volume, labels)
    assert report.volumes.rows == ()
    assert "Asymmetry index: 100" not in HtmlRenderer().encode(report).decode("utf-8")
