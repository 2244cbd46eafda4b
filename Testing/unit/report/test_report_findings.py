"""Findings, sides, flags and summary say what the table says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from medai.core.errors import ReportError
from medai.core.labelmap import Code, Segment
from medai.core.qc import QCFlag, Severity
from medai.features import FeatureTable, FeatureValue, extract
from medai.report import Report
from medai.report.findings import side_of


def test_findings_are_the_tables_numbers(kit: SimpleNamespace, report: Report) -> None:
    volume, labels = kit.case()
    table = extract(volume, labels)
    for finding, segment in zip(report.findings, labels.segments, strict=True):
        assert finding.segment == segment.name
        assert finding.volume.value == table.value(segment.name, "voxel_volume")
        assert finding.mean is not None
        assert finding.mean.value == table.value(segment.name, "mean")
        assert finding.longest_diameter is not None
        assert finding.longest_diameter.value == table.value(segment.name, "maximum_3d_diameter")
        assert finding.components == 1
        assert finding.type is not None
        assert finding.type.value == "5366008"
    assert [f.side for f in report.findings] == ["left", "left", "right", "right"]
    assert report.findings[0].volume.text == "0.800 mL"


def test_volume_is_counted_even_without_the_shape_family(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    table = extract(volume, labels, {"families": {"first_order": {}}})
    finding = kit.report(volume, labels, table, pictures=False).findings[0]
    assert finding.volume.text == "0.800 mL"
    assert finding.longest_diameter is None


def test_a_table_of_other_segments_is_refused(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    table = extract(volume, labels)
    other = labels.replace(segments=(Segment(1, "Something else"), *labels.segments[1:]))
    with pytest.raises(ReportError, match="'Left organ front', which the segmentation does not have"):
        kit.report(volume, other, table)


def test_parts_and_border(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    array = labels.array.copy()
    array[0, 0, 0] = 1
    array[1, 1, 1] = 1  # touches by a corner
    array[30, 40, 20] = 1
    finding = kit.report(volume, labels.replace(array=array), pictures=False).findings[0]
    assert finding.components == 3
    assert finding.touches_border


@pytest.mark.parametrize(
    ("modifier", "side"),
    [
        (Code("7771000", "SCT", "Left"), "left"),
        (Code("24028007", "SCT", "Right"), "right"),
        (Code("7771000", "99LOCAL", "Left"), "not stated"),
        (None, "not stated"),
    ],
)
def test_side_is_the_codes(modifier: Code | None, side: str) -> None:
    assert side_of(Segment(1, "Right left thing", modifier=modifier)) == side


def test_left_and_right(report: Report) -> None:
    rows = {row.structure: row for row in report.sides}
    assert list(rows) == ["Organ front", "Organ back", "Hippocampus, total"]
    assert rows["Organ front"].left.text == "0.800 mL"
    assert rows["Organ front"].right.text == "0.640 mL"
    assert rows["Organ front"].asymmetry.value == pytest.approx(200 * (800 - 640) / (800 + 640))
    assert rows["Organ front"].asymmetry.text == "22.2 %"
    total = rows["Hippocampus, total"]
    assert total.left.value == pytest.approx(800 + 960)
    assert total.right.value == pytest.approx(640 + 800)


def test_no_total_when_a_part_is_missing_on_one_side(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    kept = np.where(labels.array == 4, 0, labels.array)
    report = kit.report(volume, labels.replace(array=kept, segments=labels.segments[:3]), pictures=False)
    assert [row.structure for row in report.sides] == ["Organ front"]


def test_an_empty_side_has_no_index(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    kept = labels.replace(array=np.where(labels.array >= 3, 0, labels.array))
    report = kit.report(volume, kept, pictures=False)
    front = report.sides[0]
    assert (front.right.text, front.asymmetry.text, front.asymmetry.reason) == (
        "0 mL",
        "undefined",
        "one side is empty",
    )


def test_segments_without_sides_are_not_compared(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    plain = labels.replace(segments=tuple(Segment(s.label, s.name) for s in labels.segments))
    assert kit.report(volume, plain, pictures=False).sides == ()


def test_empty_mask(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    report = kit.report(volume, labels.replace(array=np.zeros_like(labels.array)))
    assert [f.status for f in report.findings] == ["empty"] * 4
    assert all(f.images == () and f.volume.value is None for f in report.findings)
    assert [f.code for f in report.flags].count("MASK_EMPTY") == 4
    assert report.summary[1] == "No voxels were found in any of the 4 segments."
    assert report.banner.light == "amber"


def test_no_segments_at_all(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    report = kit.report(volume, labels.replace(array=np.zeros_like(labels.array), segments=()))
    assert report.findings == ()
    assert report.summary[0] == "There are no segments."


@pytest.mark.parametrize("voxels", [1, 3])
def test_tiny_masks(kit: SimpleNamespace, shrink, voxels: int) -> None:
    volume, labels = kit.case()
    report = kit.report(volume, shrink(labels, voxels))
    assert all(f.status == "measured" and len(f.images) == 3 for f in report.findings)
    assert report.findings[0].volume.value == pytest.approx(float(voxels))
    undefined = [row for row in report.radiomics.rows if row.quantity.value is None]
    assert bool(undefined) == (voxels == 1)
    assert all(row.quantity.reason and row.quantity.text == "undefined" for row in undefined)


def test_flags_come_once_and_worst_first(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    note = QCFlag("DEVICE_FALLBACK", Severity.INFO, "CPU instead of GPU")
    error = QCFlag("MODALITY_MISMATCH", Severity.ERROR, "made for CT", "MR", "CT")
    clipped = QCFlag("FOV_CLIPPED", Severity.WARNING, "cut by its region", affects="Left organ front")
    array = labels.array.copy()
    array[0, 0, 0] = 1
    table = extract(volume, labels.replace(array=array))
    report = kit.report(
        volume.with_flags(note),
        labels.replace(array=array, flags=(clipped, note)),
        table,
        flags=(error, note),
        pictures=False,
    )
    assert report.flags[0].code == "MODALITY_MISMATCH"
    assert [f.code for f in report.flags].count("DEVICE_FALLBACK") == 1
    about = [f for f in report.flags if f.code == "FOV_CLIPPED"]
    assert [f.message for f in about] == ["cut by its region"]
    assert report.banner.light == "red"
    assert "1 error, 1 warning, " in report.summary[-2]


@pytest.mark.parametrize(("severity", "light"), [("info", "green"), ("warning", "amber"), ("error", "red")])
def test_traffic_light(kit: SimpleNamespace, severity: str, light: str) -> None:
    flag = QCFlag("DOMAIN_OOD", Severity(severity), "strange image")
    assert kit.report(*kit.case(), flags=(flag,), pictures=False).banner.light == light


def test_a_clipped_segment_is_flagged_even_if_no_step_did(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    array = np.roll(labels.array, -10, axis=0)
    table = extract(volume, labels.replace(array=array))
    silent = FeatureTable(table.rows, table.settings, ())
    report = kit.report(volume, labels.replace(array=array), silent, pictures=False)
    assert {f.affects for f in report.flags if f.code == "FOV_CLIPPED"} == {s.name for s in labels.segments}


def test_summary_has_at_most_five_lines(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    for count in (1, 2, 3, 4, 30):
        segments = tuple(Segment(n, f"part {n}") for n in range(1, count + 1))
        array = np.zeros_like(labels.array)
        for n in range(1, count + 1):
            array[n % 36, 5 : 10 + n, 3:20] = n
        report = kit.report(volume, labels.replace(array=array, segments=segments), pictures=False)
        assert 2 <= len(report.summary) <= 5
    assert "30 segments measured. Largest: part 30" in " ".join(report.summary)


def test_confidence_is_read_from_the_segmentation(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    regions = [
        {"labels": {"Left organ front": {"mean_probability": 0.913}, "Left organ back": {"mean_probability": None}}}
    ]
    report = kit.report(volume, labels.replace(meta={"regions": regions}), pictures=False)
    assert report.findings[0].probability is not None
    assert report.findings[0].probability.text == "91.3 %"
    assert report.findings[1].probability is None
    assert "91.3 % (Left organ front), uncalibrated" in report.summary[-1]


@pytest.mark.parametrize(
    "meta", [{"regions": 5}, {"regions": [3]}, {"regions": [{"labels": [1]}]}, {"regions": [{"labels": {"a": 1}}]}]
)
def test_strange_segmentation_facts_do_not_matter(kit: SimpleNamespace, meta: dict) -> None:
    volume, labels = kit.case()
    assert kit.report(volume, labels.replace(meta=meta), pictures=False).findings[0].probability is None


def test_features_keep_code_title_and_reason(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    rows = (
        FeatureValue("Left organ front", "shape", "voxel_volume", 1234.5, "mm3", "YEKZ"),
        FeatureValue("Left organ front", "invented", "thing", float("nan"), "1", "", "too small"),
    )
    report = kit.report(volume, labels, FeatureTable(rows, {"families": {}}), pictures=False)
    first, second = report.radiomics.rows
    assert (first.title, first.ibsi, first.quantity.text) == ("Volume (voxel counting)", "YEKZ", "1.23 mL")
    assert (second.title, second.quantity.reason) == ("thing", "too small")
