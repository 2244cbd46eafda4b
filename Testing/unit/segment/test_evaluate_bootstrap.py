"""Bootstrap intervals: SciPy's numbers, coverage, reasons."""

import numpy as np
import pytest
from scipy import stats

from medai.segment.evaluate import EvaluateSettings, Score, summaries
from medai.segment.evaluation import bootstrap
from medai.segment.evaluation.bootstrap import mean_interval

SKEWED = [0.91, 0.88, 0.93, 0.90, 0.52, 0.87, 0.94, 0.89, 0.71, 0.92]


@pytest.mark.parametrize(("method", "scipys"), [("percentile", "percentile"), ("bca", "BCa")])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_intervals_are_scipys_on_the_same_draws(method, scipys, confidence):
    expected = stats.bootstrap(
        (np.array(SKEWED),),
        np.mean,
        n_resamples=2000,
        confidence_level=confidence,
        method=scipys,
        random_state=np.random.default_rng(3),
    ).confidence_interval
    found = mean_interval(SKEWED, method=method, confidence=confidence, resamples=2000, seed=3)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.low < np.mean(SKEWED) < found.high


def test_bca_follows_the_skew():
    plain, corrected = (mean_interval(SKEWED, method=m) for m in ("percentile", "bca"))
    assert corrected.low < plain.low
    assert corrected.high < plain.high


def test_the_seed_decides():
    assert mean_interval(SKEWED, seed=1) == mean_interval(SKEWED, seed=1)
    assert mean_interval(SKEWED, seed=1) != mean_interval(SKEWED, seed=2)


def test_drawing_in_parts_changes_nothing(monkeypatch):
    whole = mean_interval(SKEWED)
    monkeypatch.setattr(bootstrap, "CHUNK", 25)
    assert mean_interval(SKEWED) == whole


def test_too_few_cases_have_a_reason():
    found = mean_interval([0.5] * 4)
    assert (found.low, found.high, found.reason) == (None, None, "4 cases; an interval needs 5")
    assert mean_interval([0.5]).reason == "1 case; an interval needs 5"


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.75] * 6) == bootstrap.Interval(0.75, 0.75)


def test_intervals_cover_the_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        found = mean_interval(rng.normal(0.8, 0.1, 30), resamples=500)
        hits += found.low <= 0.8 <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def score(case, name, dice, hd=1.0):
    return Score(
        case=case, label=1 if name == "Liver" else 2, name=name, predicted_name=name, status="scored",
        matched_by="names", key=name, dice=dice, hd95_mm=hd, reference_ml=1.0, predicted_ml=1.0,
    )  # fmt: skip


def test_summaries_count_what_is_defined_and_draw_cases():
    scores = [score(f"c{n}", "Liver", 0.8 + n / 100, None if n < 3 else float(n)) for n in range(7)]
    scores += [score(f"c{n}", "Kidney", 0.5) for n in range(7)]
    rows = {(r.segment, r.metric): r for r in summaries(scores, EvaluateSettings())}
    dice, hd = rows["Liver", "dice"], rows["Liver", "hd95_mm"]
    assert (dice.cases, dice.n, dice.reason) == (7, 7, "")
    assert dice.mean == pytest.approx(0.83)
    assert dice.ci_low < dice.mean < dice.ci_high
    assert (hd.cases, hd.n, hd.ci_low, hd.reason) == (7, 4, None, "4 cases; an interval needs 5")
    assert (hd.mean, hd.median, hd.minimum, hd.maximum) == (4.5, 4.5, 3.0, 6.0)
    assert hd.sd == pytest.approx(np.std([3, 4, 5, 6], ddof=1))
    nothing = rows["Liver", "assd_mm"]
    assert (nothing.n, nothing.mean, nothing.reason) == (0, None, "0 cases; an interval needs 5")
    together = rows["(mean of segments)", "dice"]
    assert (together.label, together.cases, together.n, together.mean) == (0, 7, 7, pytest.approx(0.665))


def test_one_case_has_no_standard_deviation_and_one_segment_no_mean_over_segments():
    rows = summaries([score("a", "Liver", 0.9)], EvaluateSettings())
    assert {r.segment for r in rows} == {"Liver"}
    assert next(r.sd for r in rows if r.metric == "dice") is None
