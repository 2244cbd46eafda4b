"""Agreement of volumes: published values, numpy's and SciPy's, and what is undefined; intervals against SciPy's."""

import numpy as np
import pytest

from medai.segment.assessment.agreement import bias, icc_a1, lower_limit, pearson, upper_limit
from medai.segment.assessment.intervals import interval, mean
from medai.segment.assessment.settings import MeasureSettings
from medai.segment.evaluation.bootstrap import mean_interval

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Shrout and Fleiss 1979, table 2: six targets, four judges; table 4 gives ICC(2,1) = 0.29."""


def test_the_intraclass_correlation_is_that_of_its_paper():
    assert icc_a1(np.array(SHROUT_FLEISS, dtype=float)) == pytest.approx(0.29, abs=0.005)


def test_a_constant_difference_lowers_icc_but_not_r(rng):
    one = rng.normal(3, 0.5, 30)
    pairs = np.stack([one, one + 0.5], -1)
    assert pearson(pairs) == pytest.approx(1)
    assert icc_a1(pairs) < 0.8
    assert icc_a1(np.stack([one, one], -1)) == pytest.approx(1)


def test_r_bias_and_limits_are_numpys(rng):
    pairs = rng.normal(2, 0.4, (25, 2))
    difference = pairs[:, 1] - pairs[:, 0]
    assert pearson(pairs) == pytest.approx(np.corrcoef(pairs.T)[0, 1])
    assert bias(pairs) == pytest.approx(difference.mean())
    assert upper_limit(pairs) == pytest.approx(difference.mean() + 1.96 * difference.std(ddof=1))
    assert lower_limit(pairs) == pytest.approx(difference.mean() - 1.96 * difference.std(ddof=1))


@pytest.mark.parametrize("formula", [pearson, icc_a1, bias, lower_limit, upper_limit])
def test_pairs_with_nan_do_not_count_and_series_are_apart(formula, rng):
    pairs = rng.normal(2, 0.4, (4, 12, 2))
    holes = pairs.copy()
    holes[1, 10:] = np.nan
    expected = [formula(pairs[n]) if n != 1 else formula(pairs[1, :10]) for n in range(4)]
    np.testing.assert_allclose(formula(holes), expected, rtol=1e-10)


def test_what_does_not_vary_has_no_correlation():
    flat = np.tile([[2.0, 2.1]], (6, 1))
    assert np.isnan(pearson(flat))
    assert np.isnan(pearson(np.array([[1.0, 2.0], [2.0, 3.0]])))


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_are_scipys(method, rng):
    stats = pytest.importorskip("scipy.stats")
    pairs = rng.normal(2, 0.4, (30, 1)) + rng.normal(0, 0.2, (30, 2))
    settings = MeasureSettings(interval=method)
    ours = interval(pearson, pairs, [f"{n:02d}" for n in range(30)], settings)

    def of_places(places, axis):
        return pearson(pairs[places.astype(int)])

    drawn = np.random.default_rng(0).integers(0, 30, (2000, 30))
    theirs = stats.bootstrap(
        (np.arange(30),), of_places, method={"bca": "BCa"}.get(method, method), vectorized=True, n_resamples=2000,
        random_state=np.random.default_rng(0),
    )  # fmt: skip
    np.testing.assert_array_equal(np.sort(theirs.bootstrap_distribution), np.sort(pearson(pairs[drawn])))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-9)


def test_with_one_case_a_subject_the_mean_is_that_of_the_evaluation(rng):
    values = rng.normal(0.9, 0.03, 20)
    ours = interval(mean, values[:, None], [f"{n:02d}" for n in range(20)], MeasureSettings())
    theirs = mean_interval(values)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_several_cases_of_one_subject_make_no_more_subjects(rng):
    values = np.repeat(rng.normal(0.9, 0.03, 8), 10)
    subjects = [f"s{n // 10}" for n in range(80)]
    grouped = interval(mean, values[:, None], subjects, MeasureSettings())
    apart = interval(mean, values[:, None], [str(n) for n in range(80)], MeasureSettings())
    assert grouped.high - grouped.low > 2 * (apart.high - apart.low)
    order = rng.permutation(80)
    again = interval(mean, values[order][:, None], [subjects[n] for n in order], MeasureSettings())
    assert (again.low, again.high) == pytest.approx((grouped.low, grouped.high))


def test_no_interval_without_enough_subjects_or_a_value():
    few = interval(mean, np.ones((8, 1)), ["a", "b", "c", "d"] * 2, MeasureSettings())
    assert few.low is None
    assert few.reason == "4 subjects; an interval needs 5"
    flat = interval(pearson, np.ones((6, 2)), list("abcdef"), MeasureSettings())
    assert flat.low is None
    assert "undefined" in flat.reason
