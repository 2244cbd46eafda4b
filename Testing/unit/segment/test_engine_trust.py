"""The trust number of a segment, what it is made of, and its flag."""

import json
import math

import numpy as np
import pytest

from medai.core.qc import Severity
from medai.segment.inference.trust import LIMIT, trust_flags, trust_of, with_trust

FACTS = {
    "Liver": {"label": 1, "voxels": 900, "mean_probability": 0.97, "mean_agreement": 0.99, "boundary_share": 0.1},
    "Duct": {"label": 2, "voxels": 12, "mean_probability": 0.81, "mean_agreement": 0.49, "boundary_share": 1.0},
    "Cyst": {"label": 3, "voxels": 4, "mean_probability": 0.6, "boundary_share": 1.0},
    "Absent": {"label": 4, "voxels": 0, "mean_probability": None, "mean_agreement": None, "boundary_share": None},
}


def test_one_run_gives_the_mean_probability():
    trust = trust_of(FACTS["Cyst"])
    assert trust.value == pytest.approx(0.6)
    assert trust.terms == {"mean_probability": 0.6}


def test_several_runs_give_the_geometric_mean_with_their_agreement():
    trust = trust_of(FACTS["Duct"])
    assert trust.value == pytest.approx(math.sqrt(0.81 * 0.49))
    assert set(trust.terms) == {"mean_probability", "mean_agreement"}


def test_nothing_found_has_no_trust():
    assert trust_of(FACTS["Absent"]) is None


@pytest.mark.parametrize("value", [-1e-7, 0.0, 1.0, 1.0000001])
def test_rounding_does_not_leave_0_to_1(value):
    assert 0 <= trust_of({"mean_probability": value, "mean_agreement": 1.0000002}).value <= 1


def test_more_probability_or_agreement_never_lowers_it():
    steps = [n / 10 for n in range(11)]
    for fixed in steps:
        for names in (("mean_probability", "mean_agreement"), ("mean_agreement", "mean_probability")):
            values = [trust_of({names[0]: x, names[1]: fixed}).value for x in steps]
            assert values == sorted(values)


def test_the_result_says_what_it_is_made_of():
    facts = with_trust(FACTS)
    trust = facts["Liver"]["trust"]
    assert trust["calibrated"] is False
    assert trust["from"] == {"mean_probability": 0.97, "mean_agreement": 0.99}
    assert facts["Absent"]["trust"] is None
    assert facts["Liver"]["boundary_share"] == 0.1
    assert "trust" not in FACTS["Liver"]
    json.dumps(facts)


def test_low_numbers_are_flagged_by_segment():
    flags = trust_flags(FACTS)
    assert [flag.affects for flag in flags] == ["Duct", "Cyst"]
    for flag in flags:
        assert flag.code == "LOW_CONFIDENCE"
        assert flag.severity is Severity.WARNING
        assert flag.measured < flag.limit == LIMIT
        assert "uncalibrated" in flag.message
    assert not trust_flags(FACTS, limit=0.1)


def test_a_box_is_judged_by_the_trust_number_that_it_tells(engine_manifest):
    from medai.core.geometry import Geometry
    from medai.segment.inference.quality import segment_flags
    from medai.segment.inference.regions import Box

    shape = (4, 4, 4)
    box = Box("", Geometry.from_spacing(shape, (1, 1, 1)), np.zeros(shape, np.float32), np.ones(shape, dtype=bool))
    scores = np.zeros((2, *shape), dtype=np.float32)
    scores[1, 1:3, 1:3, 1:3] = 0.9
    scores[0] = 0.5
    fact = {"volume_ml": 0.008, "model_label": "Part 1", "mean_probability": 0.9, "mean_agreement": 0.4}
    flags = segment_flags({"labels": {"Part 1": fact}}, box, scores, engine_manifest((4, 4, 4), 2))
    assert [flag.code for flag in flags] == ["LOW_CONFIDENCE"]
    assert flags[0].measured == pytest.approx(trust_of(fact).value)
