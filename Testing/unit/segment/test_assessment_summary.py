"""Rows, the file of finished rows, and the summary over rows."""

import numpy as np
import pytest

from medai.core.csvtext import write_csv
from medai.core.errors import InputError
from medai.segment.assessment.crossed import cross_validation, cross_validation_lines
from medai.segment.assessment.result import Assessment, metrics_of
from medai.segment.assessment.rows import Row, RowFile, table
from medai.segment.assessment.settings import MeasureSettings
from medai.segment.assessment.summary import ALL, summarise
from medai.segment.assessment.text import cell, flag_rates, interval_of

SETTINGS = MeasureSettings(resamples=200)


def row(case, label=1, dice=0.9, hd95=1.0, reference=2.0, found=2.1, status="ok", subject="", **more):
    known = {"volume_error_ml": found - reference, "volume_error_percent": 100 * (found - reference) / reference}
    return Row(
        case=case, subject=subject or case, label=label, name=f"Part {label}", status=status, dice=dice, hd95_mm=hd95,
        assd_mm=0.4, reference_ml=reference, predicted_ml=found, **{**known, **more},
    )  # fmt: skip


def failed(case, label=1):
    return Row(case=case, subject=case, label=label, name=f"Part {label}", status="failed", reason="It broke.")


def missed(case):
    return Row(
        case=case, subject=case, label=1, name="Part 1", status="empty", reason="the prediction is empty", dice=0.0,
        reference_ml=2.0, predicted_ml=0.0, volume_error_ml=-2.0, volume_error_percent=-100.0,
    )  # fmt: skip


def assessment(rows, sha="a" * 64, **data):
    about = {"name": "set", "chosen": "held-back", "cases": 0, "subjects": 0, "seen_in_training": 0, **data}
    model = {"id": "m", "title": "M", "version": "1.0.0", "weights_sha256": sha}
    return Assessment(model=model, data=about, settings=SETTINGS, rows=tuple(rows))


def test_the_numbers_are_numpys_and_undefined_ones_are_counted(rng):
    dice = rng.uniform(0.8, 0.95, 10)
    rows = [row(f"c{n}", dice=float(d), hd95=1.0 + n) for n, d in enumerate(dice)] + [missed("x"), failed("y")]
    (found,) = summarise(rows, SETTINGS)
    values = [*dice, 0.0]
    spread = found.measures["dice"]
    assert (spread.n, spread.undefined) == (11, 1)
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.sd == pytest.approx(np.std(values, ddof=1))
    assert spread.median == pytest.approx(np.median(values))
    assert (spread.minimum, spread.maximum) == (0.0, pytest.approx(dice.max()))
    assert spread.ci_low < spread.mean < spread.ci_high
    assert found.measures["hd95_mm"].undefined == 2
    assert (found.cases, found.failed, found.empty) == (12, 1, 1)
    assert found.agreement["bias_ml"].n == 11
    assert found.agreement["bias_ml"].value == pytest.approx((10 * 0.1 - 2.0) / 11)


def test_a_case_without_the_structure_says_nothing_about_its_volume():
    rows = [row(f"c{n}", reference=2.0 + n, found=2.1 + n) for n in range(5)]
    absent = Row(case="z", subject="z", label=1, name="Part 1", status="empty", reference_ml=0.0, predicted_ml=0.3)
    assert summarise([*rows, absent], SETTINGS)[0].agreement["pearson_r"].n == 5


def test_the_mean_of_the_labels_is_over_cases():
    rows = [row(f"c{n}", label, dice=0.8 + 0.1 * (label == 2) + 0.01 * n) for n in range(6) for label in (1, 2)]
    found = summarise(rows, SETTINGS)
    assert [item.name for item in found] == ["Part 1", "Part 2", ALL]
    assert found[2].measures["dice"].n == 6
    assert found[2].measures["dice"].mean == pytest.approx(0.875)


def test_nothing_but_failed_cases_has_a_summary_too():
    (found,) = summarise([failed("a"), failed("b")], SETTINGS)
    assert found.measures["dice"].mean is None
    assert found.agreement["icc_a1"].value is None
    assert interval_of(found.measures["dice"], 3) == "-"


def test_rows_survive_a_kill_in_the_middle_of_a_line(tmp_path):
    file = RowFile(tmp_path / "rows.jsonl")
    assert file.read() == {}
    file.add("one", [row("a", flags=("DOMAIN_OOD",))])
    file.add("two", [missed("b"), failed("b", 2)])
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-20])
    assert list(file.read()) == ["one"]
    file.add("three", [row("c")])
    assert file.read() == {"one": [row("a", flags=("DOMAIN_OOD",))], "three": [row("c")]}


def test_a_table_of_rows_has_empty_cells_where_a_number_is_missing(tmp_path):
    write_csv(table([row("a"), failed("b")]), tmp_path / "cases.csv")
    head, first, second = (tmp_path / "cases.csv").read_text("utf-8").splitlines()
    assert head.startswith("case,subject,label,name,status,dice,hd95_mm,assd_mm,reference_ml,predicted_ml")
    assert first.startswith("a,a,1,Part 1,ok,0.9,1.0,0.4,2.0,2.1")
    assert second.startswith("b,b,1,Part 1,failed,,,,,,,,,It broke.")
    assert "research use only" in first


def test_an_assessment_is_the_same_after_json(tmp_path):
    found = assessment([row("a"), missed("b"), failed("c")], cases=3, subjects=3)
    again = Assessment.from_dict(found.to_dict())
    assert again == found
    assert again.summary == found.summary
    assert again.failures == {"c": "It broke."}
    (tmp_path / "other.json").write_text('{"schema": "other"}', "utf-8")
    (tmp_path / "cut.json").write_text('{"schema": ', "utf-8")
    for name, text in (("other.json", "no assessment"), ("cut.json", "no JSON"), ("none.json", "cannot be read")):
        with pytest.raises(InputError, match=text):
            Assessment.read(tmp_path / name)
    broken = found.to_dict()
    del broken["rows"][0]["case"]
    with pytest.raises(InputError, match="damaged"):
        Assessment.from_dict(broken)


def test_the_manifests_metrics_follow_an_assessment():
    rows = [row(f"c{n}", label, dice=0.8 + 0.1 * (label == 2)) for n in range(6) for label in (1, 2)]
    metrics = metrics_of(assessment(rows))
    assert metrics["mean_dice"] == 0.85
    assert metrics["labels"]["Part 2"]["dice"]["mean"] == 0.9
    assert metrics["labels"]["Part 1"]["volume_error_percent"]["mean"] == pytest.approx(5.0)
    assert (metrics["cases"], metrics["on"]) == (6, "held-back cases")


def test_flags_of_the_domains_own_cases_are_counted():
    rows = [row("a", flags=("VOL_IMPLAUSIBLE",)), row("a", 2, flags=("VOL_IMPLAUSIBLE",)), row("b"), failed("c")]
    assert flag_rates(assessment(rows)) == (
        "Of the 2 measured cases of the domain 1 carry no warning; the others: VOL_IMPLAUSIBLE on 1."
    )
    assert "None of the 1" in flag_rates(assessment([row("b")]))


def fold(number, cases=6):
    rows = [row(f"f{number}c{n}", dice=0.8 + 0.02 * n + 0.01 * number) for n in range(cases)]
    return assessment(rows, sha=str(number) * 64)


def test_folds_are_pooled_over_their_cases():
    found = cross_validation([fold(1), fold(2, 3)])
    assert [(f["fold"], f["cases"]) for f in found["folds"]] == [(1, 6), (2, 3)]
    assert found["folds"][1]["mean_dice"]["Part 1"] == pytest.approx(0.84)
    values = [0.8 + 0.02 * n + 0.01 * number for number, count in ((1, 6), (2, 3)) for n in range(count)]
    assert found["pooled"]["Part 1"]["mean"] == pytest.approx(np.mean(values), abs=1e-6)
    assert found["pooled"]["Part 1"]["n"] == 9
    lines = cross_validation_lines([fold(1), fold(2, 3)])
    assert "| 2 | 3 | 0.840 |" in lines
    assert lines[-1].startswith(f"| all | 9 | {np.mean(values):.3f} [")


def test_what_is_no_cross_validation_is_refused():
    with pytest.raises(InputError, match="at least two"):
        cross_validation([fold(1)])
    with pytest.raises(InputError, match="shares the case"):
        cross_validation([fold(1), fold(1)])
    same = assessment([row("other")], sha="1" * 64)
    with pytest.raises(InputError, match="shares the weights"):
        cross_validation([fold(1), same])
    with pytest.raises(InputError, match="not measured on its held-back"):
        cross_validation([fold(1), assessment([row("other")], chosen="all")])
    with pytest.raises(InputError, match="other labels"):
        cross_validation([fold(1), assessment([row("other", 2)])])


def test_a_name_cannot_break_a_table():
    assert cell("a|b\n<b>*c*") == "a\\|b &lt;b&gt;\\*c\\*"
