"""Limits of a model's domain: what they accept, the flags they set, and the numbers that they judge."""

from __future__ import annotations

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.qc import Severity
from medai.segment.domain import DomainLimit, judge, weighted_probability
from medai.segment.inference.border import border_cm2
from medai.segment.inference.measured import dice_of_boxes, image_domain
from medai.segment.manifest import Manifest

LIMIT = {"measure": "volume_ml", "low": 900, "high": 2100, "meaning": "the intracranial volume"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": None, "high": None}, "low, high or both"),
        ({"low": 3000}, "above high"),
        ({"measure": "beauty"}, "measure"),
        ({"code": "INT_NAN"}, "code"),
        ({"severity": "info"}, "severity"),
    ],
)
def test_a_limit_that_says_nothing_is_refused(change, message):
    with pytest.raises(SettingsError, match=message):
        DomainLimit.parse({**LIMIT, **change})


@pytest.mark.parametrize(("value", "limit"), [(899.9, 900), (2100.1, 2100)])
def test_a_value_outside_is_flagged_with_both_numbers(value, limit):
    flag = DomainLimit.parse(LIMIT).flag(value)
    assert (flag.code, flag.severity, flag.measured, flag.limit) == ("DOMAIN_OOD", Severity.ERROR, value, limit)
    assert flag.message.startswith("The intracranial volume is ")
    assert flag.affects == "image"


@pytest.mark.parametrize("value", [900, 1400.5, 2100, None])
def test_a_value_inside_or_none_is_not_flagged(value):
    assert DomainLimit.parse(LIMIT).flag(value) is None


def test_code_severity_and_side_are_the_limits_own():
    limit = DomainLimit.parse({**LIMIT, "code": "FOV_ORGAN_ABSENT", "severity": "warning"})
    flag = limit.flag(1.0, "left")
    assert (flag.code, flag.severity, flag.affects) == ("FOV_ORGAN_ABSENT", Severity.WARNING, "left")
    assert flag.message.startswith("Left: the intracranial volume is 1 mL, below 900 mL: the structure is not")


def test_every_measured_value_is_told():
    limits = (DomainLimit.parse(LIMIT), DomainLimit.parse({**LIMIT, "measure": "probability", "low": 0.5, "high": 1}))
    facts, flags = judge(limits, [1000.0, None])
    assert flags == []
    assert [(fact["measure"], fact["value"]) for fact in facts] == [("volume_ml", 1000.0), ("probability", None)]


def test_the_mean_probability_is_weighted_by_size():
    labels = {
        "A": {"voxels": 30, "mean_probability": 0.9},
        "B": {"voxels": 10, "mean_probability": 0.5},
        "C": {"voxels": 0, "mean_probability": None},
    }
    assert weighted_probability(labels, (), "voxels") == pytest.approx(0.8)
    assert weighted_probability(labels, ("B", "C"), "voxels") == pytest.approx(0.5)
    assert weighted_probability(labels, ("C",), "voxels") is None


def test_the_border_is_measured_in_area():
    grid = Geometry.from_spacing((4, 5, 6), (2.0, 3.0, 4.0))
    mask = np.zeros(grid.shape, bool)
    mask[1:3, 1:4, 2:4] = True
    assert border_cm2(mask, grid) == 0
    mask[0, 2, 2:4] = True  # two voxels of 2 x 3 mm on the first slice
    assert border_cm2(mask, grid) == pytest.approx(0.12)
    mask[2, 4, 3] = True  # one of 2 x 4 mm
    assert border_cm2(mask, grid) == pytest.approx(0.20)
    single = Geometry.from_spacing((1, 5, 6))
    inner = np.zeros(single.shape, bool)
    inner[0, 2, 2] = True
    assert border_cm2(inner, single) == 0


def test_the_dice_of_two_boxes_counts_where_both_lie():
    grid = Geometry.from_spacing((6, 6, 6), (1, 1, 1))
    first = np.zeros((6, 6, 6), int)
    first[2:5, 2:5, 2:5] = 1
    first[4, 2:5, 2:5] = 2
    second = first[2:, 1:, :]
    assert dice_of_boxes(first, grid, second, grid.crop((2, 1, 0), (4, 5, 6)), [1, 2]) == 1.0
    changed = second.copy()
    changed[2] = np.where(changed[2] == 2, 1, changed[2])
    other = grid.crop((2, 1, 0), (4, 5, 6))
    assert dice_of_boxes(first, grid, changed, other, [1, 2]) == pytest.approx(2 * 18 / 54)
    assert dice_of_boxes(first, grid, changed, other, [1]) == pytest.approx(2 * 18 / (18 + 27))
    assert dice_of_boxes(first * 0, grid, changed * 0, other, [1, 2]) is None
    apart = Geometry.from_spacing((6, 6, 6), (1, 1, 1), (20, 0, 0))
    assert dice_of_boxes(first, grid, first, apart, [1, 2]) is None


def manifest(engine_manifest, **changes):
    return Manifest.parse({**engine_manifest().to_dict(), **changes})


def test_a_manifest_may_have_limits_and_need_not(engine_manifest):
    assert engine_manifest().domain == ()
    made = manifest(engine_manifest, domain=[{**LIMIT, "labels": ["Part 1"]}])
    assert Manifest.parse(made.to_dict()) == made


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({**LIMIT, "labels": ["Nobody"]}, "labels that are not there"),
        ({"measure": "repeat_dice", "low": 0.5, "meaning": "x"}, "models with a region only"),
    ],
)
def test_limits_that_do_not_fit_the_model_are_refused(engine_manifest, limit, message):
    with pytest.raises(SettingsError, match=message):
        manifest(engine_manifest, domain=[limit])


def test_a_whole_image_is_judged_by_union_probability_and_border(engine_manifest):
    made = manifest(
        engine_manifest,
        domain=[
            {"measure": "volume_ml", "labels": ["Part 1", "Part 2"], "low": 0.5, "meaning": "both"},
            {"measure": "probability", "labels": ["Part 2"], "low": 0.9, "meaning": "the mean probability"},
            {"measure": "border_cm2", "labels": ["Part 1"], "high": 0.1, "code": "FOV_ORGAN_ABSENT", "meaning": "cut"},
        ],
    )
    grid = Geometry.from_spacing((10, 10, 10), (2.0, 2.0, 2.0))
    array = np.zeros(grid.shape, np.uint8)
    array[3:6, 3:6, 3:6] = 1
    array[6:8, 3:6, 3:6] = 2
    facts = {"Part 1": {"voxels": 27, "mean_probability": 0.95}, "Part 2": {"voxels": 18, "mean_probability": 0.8}}
    labels = LabelMap(array, grid, (Segment(1, "Part 1"), Segment(2, "Part 2")), meta={"regions": [{"labels": facts}]})
    told, flags = image_domain(labels, made)
    assert [fact["value"] for fact in told] == pytest.approx([0.36, 0.8, 0.0])
    assert [(flag.code, flag.limit) for flag in flags] == [("DOMAIN_OOD", 0.5), ("DOMAIN_OOD", 0.9)]
    array[0, 3:6, 3:6] = 1
    _, flags = image_domain(labels.replace(array=array), made)
    assert [flag.code for flag in flags] == ["DOMAIN_OOD", "DOMAIN_OOD", "FOV_ORGAN_ABSENT"]
