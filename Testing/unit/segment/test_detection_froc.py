"""FROC: against curves worked out by hand, MONAI's curve, and its own limits."""

import json

import numpy as np
import pytest

from medai.core.errors import GeometryError, InputError
from medai.core.geometry import Geometry
from medai.segment.detection.froc import RATES, FrocSettings, Scan, froc
from medai.segment.detection.matching import box_iou, matches
from medai.segment.detection.result import Detection, Detections

GRID = Geometry.from_spacing((100, 100, 100))
PLAIN = FrocSettings(resamples=0)


def box(centre, size=10.0, score=1.0, **more):
    middle = np.asarray(centre, dtype=float)
    return Detection.of(GRID, middle - size / 2, middle + size / 2, score, **more)


def scan(found, truth):
    return Scan(Detections(tuple(found), GRID), Detections(tuple(truth), GRID))


def test_a_curve_by_hand():
    # Two scans, four findings.  In order of score: hit, false alarm, hit, false alarm, hit; the fourth is missed.
    one = scan([box((20, 20, 20), score=0.9), box((70, 70, 70), score=0.6)], [box((20, 20, 20)), box((70, 70, 70))])
    two = scan(
        [box((50, 50, 50), score=0.8), box((90, 20, 20), score=0.5), box((21, 20, 20), score=0.4)],
        [box((20, 20, 20)), box((50, 80, 50))],
    )
    result = froc([one, two], PLAIN)
    assert result.curve_fps == (0, 0, 0.5, 0.5, 1.0, 1.0)
    assert result.curve_sensitivity == (0, 0.25, 0.25, 0.5, 0.5, 0.75)
    # Linear between the points: flat at 0.25 up to 0.5, where it jumps; flat at 0.5 up to 1, where it jumps.
    assert result.sensitivity == pytest.approx((0.25, 0.25, 0.5, 0.75, 0.75, 0.75, 0.75))
    assert result.cpm == pytest.approx(np.mean(result.sensitivity))
    assert result.at_score(0.6) == (0.5, 0.5)
    assert result.at_score(0.99) == (0.0, 0.0)
    json.dumps(result.to_dict(), allow_nan=False)


def test_all_found_without_a_false_alarm_is_one_everywhere():
    result = froc([scan([box((20, 20, 20), score=0.3)], [box((20, 20, 20))])] * 4, FrocSettings(resamples=50))
    assert result.sensitivity == (1.0,) * 7
    assert result.cpm == 1.0
    assert result.low == result.high == (1.0,) * 7


def test_nothing_found_is_zero():
    result = froc([scan([], [box((20, 20, 20))])], PLAIN)
    assert result.cpm == 0.0
    assert result.candidates == 0


def test_candidates_of_equal_score_enter_together():
    result = froc([scan([box((20, 20, 20), score=0.5), box((70, 70, 70), score=0.5)], [box((20, 20, 20))])], PLAIN)
    assert result.curve_fps == (0, 1)
    # Between no candidate and both the curve is a line.
    assert result.sensitivity[:4] == pytest.approx((0.125, 0.25, 0.5, 1.0))


def test_ignored_findings_and_further_candidates_count_neither_way():
    truth = [box((20, 20, 20)), box((70, 70, 70), ignore=True)]
    found = [box((20, 20, 20), score=0.9), box((22, 20, 20), score=0.8), box((70, 70, 70), score=0.95)]
    result = froc([scan(found, truth)], PLAIN)
    assert (result.findings, result.ignored) == (1, 1)
    assert result.curve_fps == (0, 0)
    assert result.cpm == 1.0


def test_a_centre_counts_inside_the_sphere_only():
    truth = Detections((box((50, 50, 50), size=10),), GRID)
    inside, outside = box((54.9, 50, 50)), box((55.1, 50, 50))
    corner = box((54, 54, 54))  # in the box, not in the sphere
    table = matches(Detections((inside, outside, corner), GRID), truth, "centre")
    assert table[:, 0].tolist() == [True, False, False]


def test_another_class_is_no_match():
    truth = Detections((box((50, 50, 50), label=2),), GRID)
    assert not matches(Detections((box((50, 50, 50)),), GRID), truth, "centre").any()


def test_overlap_by_hand():
    a = np.array([[0, 0, 0, 2, 2, 2]], dtype=float)
    b = np.array([[1, 0, 0, 3, 2, 2], [5, 5, 5, 6, 6, 6], [0, 0, 0, 2, 2, 2]], dtype=float)
    assert box_iou(a, b)[0] == pytest.approx([4 / 12, 0, 1])


def test_matching_by_overlap_needs_one_grid():
    other = Detections((Detection.of(GRID.flip(0), (1, 1, 1), (4, 4, 4)),), GRID.flip(0))
    with pytest.raises(GeometryError):
        matches(other, Detections((box((20, 20, 20)),), GRID), "iou")
    half = scan([box((25, 20, 20), score=0.5)], [box((20, 20, 20))])  # they share a third
    assert froc([half], FrocSettings(match="iou", iou=0.3, resamples=0)).cpm == 1.0
    assert froc([half], FrocSettings(match="iou", iou=0.4, resamples=0)).cpm == 0.0


def random_scans(count=12):
    rng = np.random.default_rng(5)
    scans = []
    for _ in range(count):
        truth = [box((15 + 20 * n, 50, 50)) for n in range(4)]
        found = [box(np.asarray(t.low) + 5, score=float(rng.uniform(0.2, 1))) for t in truth if rng.uniform() < 0.8]
        found += [box((50, 20, 10 + 8 * n), size=4, score=float(rng.uniform(0, 0.9))) for n in range(rng.integers(11))]
        scans.append(scan(found, truth))
    return scans


def test_equal_to_monai():
    monai = pytest.importorskip("monai.metrics.froc")
    scans = random_scans()
    result = froc(scans, PLAIN)
    hits, alarms = [], []
    for one in scans:
        table = matches(one.found, one.truth, "centre")
        scores = one.found.scores()
        # MONAI's convention: a missed finding has the score 0.
        hits += [scores[column].max() if column.any() else 0.0 for column in table.T]
        alarms += list(scores[~table.any(axis=1)])
    fps, sensitivity = monai.compute_froc_curve_data(np.array(alarms), np.array(hits), len(hits), len(scans))
    assert 0.0 in hits
    assert monai.compute_froc_score(fps, sensitivity, RATES) == pytest.approx(result.cpm, abs=1e-12)
    assert np.interp(RATES, fps[::-1], sensitivity[::-1]) == pytest.approx(result.sensitivity, abs=1e-12)


def test_intervals_hold_the_value_and_do_not_depend_on_the_machine():
    scans = random_scans()
    result = froc(scans, FrocSettings(resamples=300))
    assert result == froc(scans, FrocSettings(resamples=300))
    assert all(a <= s <= b for a, s, b in zip(result.low, result.sensitivity, result.high, strict=True))
    assert result.cpm_interval[0] < result.cpm < result.cpm_interval[1]


def test_a_draw_of_scans_weighs_their_findings():
    # One scan with all found, one with nothing found: each draw has 0, half or all.
    good, bad = scan([box((20, 20, 20), score=0.9)], [box((20, 20, 20))]), scan([], [box((20, 20, 20))])
    result = froc([good, bad], FrocSettings(resamples=400, confidence=0.9))
    assert (result.cpm, result.cpm_interval) == (0.5, (0.0, 1.0))


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="no scans"):
        froc([])
    with pytest.raises(InputError, match="None of the scans"):
        froc([scan([box((20, 20, 20), score=0.5)], [])])
