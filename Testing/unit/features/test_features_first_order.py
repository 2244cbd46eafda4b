"""Intensity features against hand calculations, numpy and scipy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medai.core.errors import SettingsError
from medai.features import FAMILIES, FeatureTable

SEGMENT = "Label 1"
FLAT = "all intensities of the segment are equal"


def only(bin_width: float = 25.0, **limits: float) -> dict[str, object]:
    return {"families": {"first_order": {"bin_width": bin_width}}, "limits": limits}


def reasons(table: FeatureTable) -> dict[str, str]:
    return {row.feature: row.reason for row in table.rows if not row.defined}


@pytest.mark.parametrize("step", [0, 1, 10], ids=["every value once", "whole numbers", "tens"])
def test_against_numpy_and_scipy(measure: Callable, rng: np.random.Generator, step: int) -> None:
    from scipy import stats

    image = rng.gamma(2.0, 30.0, (8, 9, 10)) - 20
    if step:
        image = np.rint(image / step) * step
    mask = rng.random(image.shape) < 0.4
    x = image[mask]
    table = measure(mask, image, only())
    expected = {
        "mean": x.mean(), "standard_deviation": x.std(), "variance": x.var(), "skewness": stats.skew(x),
        "excess_kurtosis": stats.kurtosis(x), "median": np.median(x), "minimum": x.min(), "maximum": x.max(),
        "percentile_10": np.percentile(x, 10), "percentile_90": np.percentile(x, 90),
        "interquartile_range": stats.iqr(x), "intensity_range": np.ptp(x),
        "mean_absolute_deviation": np.abs(x - x.mean()).mean(),
        "median_absolute_deviation": np.abs(x - np.median(x)).mean(),
        "coefficient_of_variation": stats.variation(x), "energy": (x**2).sum(),
        "root_mean_square": np.sqrt((x**2).mean()),
    }  # fmt: skip
    low, high = np.percentile(x, [10, 90])
    kept = x[(x >= low) & (x <= high)]
    expected["robust_mean_absolute_deviation"] = np.abs(kept - kept.mean()).mean()
    p25, p75 = np.percentile(x, [25, 75])
    expected["quartile_coefficient_of_dispersion"] = (p75 - p25) / (p75 + p25)
    p = np.unique(np.floor((x - x.min()) / 25), return_counts=True)[1] / x.size
    expected["entropy"] = stats.entropy(p, base=2)
    expected["uniformity"] = (p**2).sum()
    found = {row.feature: row.value for row in table.rows}
    assert found == pytest.approx(expected, rel=1e-12)


def test_units_follow_the_image(measure: Callable) -> None:
    def units(unit: str) -> dict[str, str]:
        return {row.feature: row.unit for row in measure(np.ones((2, 2, 2)), settings=only(), unit=unit).rows}

    hounsfield = units("[hnsf'U]")
    assert hounsfield["mean"] == "[hnsf'U]"
    assert hounsfield["variance"] == hounsfield["energy"] == "[hnsf'U]2"
    assert hounsfield["skewness"] == "1"
    assert hounsfield["entropy"] == "bit"
    assert units("g/ml")["variance"] == "(g/ml)2"
    assert units("mm2")["energy"] == "(mm2)2"
    assert units("")["mean"] == "[arb'U]"
    assert units("1")["variance"] == "1"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64, ">i2", ">f4", bool])
def test_every_type_of_voxel(measure: Callable, dtype: str) -> None:
    image = np.array([[[0, 1, 1, 0]]]).astype(dtype)
    table = measure([[[1, 1, 1, 0]]], image, only(0.5))
    assert table.value(SEGMENT, "mean") == pytest.approx(2 / 3)
    assert table.value(SEGMENT, "maximum") == 1
    assert table.value(SEGMENT, "entropy") == pytest.approx(-(math.log2(1 / 3) / 3 + 2 * math.log2(2 / 3) / 3))


def test_a_large_offset_does_not_eat_the_variance(measure: Callable) -> None:
    image = np.array([[[1e9, 1e9 + 1, 1e9 + 2]]])
    table = measure(np.ones((1, 1, 3)), image, only())
    assert table.value(SEGMENT, "variance") == pytest.approx(2 / 3, rel=1e-9)
    assert table.value(SEGMENT, "skewness") == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [0.1, 100.0, -3.0])
def test_flat_region(measure: Callable, value: float) -> None:
    """Row 21: what is undefined says why, and numpy says nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        table = measure(np.ones((3, 3, 3)), np.full((3, 3, 3), value), only())
    assert reasons(table) == {"skewness": FLAT, "excess_kurtosis": FLAT}
    assert table.value(SEGMENT, "mean") == value
    assert table.value(SEGMENT, "variance") == 0
    assert table.value(SEGMENT, "coefficient_of_variation") == 0
    assert table.value(SEGMENT, "entropy") == 0
    assert table.value(SEGMENT, "uniformity") == 1
    assert "INT_CONSTANT" in [flag.code for flag in table.flags]


def test_flat_region_of_zeros(measure: Callable) -> None:
    table = measure(np.ones((2, 2, 2)), np.zeros((2, 2, 2)), only())
    assert reasons(table) == {
        "skewness": FLAT,
        "excess_kurtosis": FLAT,
        "coefficient_of_variation": "the mean is zero",
        "quartile_coefficient_of_dispersion": "the quartiles sum to zero",
    }


def test_one_voxel(measure: Callable) -> None:
    table = measure([[[0, 1, 0]]], [[[1.0, 5.0, 9.0]]], only())
    assert set(reasons(table)) == {"skewness", "excess_kurtosis"}
    for name in ("mean", "median", "minimum", "maximum", "percentile_10", "percentile_90", "root_mean_square"):
        assert table.value(SEGMENT, name) == 5
    assert table.value(SEGMENT, "energy") == 25


def test_two_voxels_have_no_robust_range(measure: Callable) -> None:
    table = measure([[[1, 1]]], [[[0.0, 10.0]]], only())
    assert reasons(table) == {
        "robust_mean_absolute_deviation": "no intensity lies from the 10th to the 90th percentile"
    }


def test_three_voxels(measure: Callable) -> None:
    table = measure([[[1, 1, 1]]], [[[1.0, 2.0, 6.0]]], only())
    assert reasons(table) == {}
    assert table.value(SEGMENT, "mean") == 3
    assert table.value(SEGMENT, "median") == 2
    assert table.value(SEGMENT, "variance") == pytest.approx(14 / 3)


@pytest.mark.parametrize("scale", [1e-200, 1e-300, 1e150])
def test_extreme_scales_keep_the_standardised_moments(measure: Callable, scale: float) -> None:
    """Powers of such intensities leave the range of a float; their ratios do not."""
    table = measure([[[1, 1, 1, 1]]], np.array([[[1.0, 2.0, 6.0, 7.0]]]) * scale, only(25 * scale))
    plain = measure([[[1, 1, 1, 1]]], [[[1.0, 2.0, 6.0, 7.0]]], only())
    for name in ("skewness", "excess_kurtosis", "entropy"):
        assert table.value(SEGMENT, name) == pytest.approx(plain.value(SEGMENT, name), rel=1e-9, abs=1e-12)


def test_values_that_leave_the_float_range_say_so(measure: Callable) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        table = measure([[[1, 1, 1]]], [[[-1.7e308, 0.0, 1.7e308]]], only())
    found = reasons(table)
    assert found["energy"] == found["intensity_range"] == "the value is too large for a 64-bit number"
    assert "entropy" in found
    assert table.value(SEGMENT, "maximum") == 1.7e308


def test_bins_start_at_the_lower_limit(measure: Callable) -> None:
    """IBSI fixed bin size: the lower limit if there is one, else the minimum of the segment."""
    image = [[[3.0, 9.0, 11.0, 19.0]]]
    mask = np.ones((1, 1, 4))
    from_minimum = measure(mask, image, only(10.0))
    assert from_minimum.value(SEGMENT, "uniformity") == pytest.approx((3 / 4) ** 2 + (1 / 4) ** 2)
    from_zero = measure(mask, image, only(10.0, lower=0.0))
    assert from_zero.value(SEGMENT, "uniformity") == pytest.approx(0.5)
    assert from_zero.value(SEGMENT, "entropy") == pytest.approx(1)


def test_limits_leave_voxels_out(measure: Callable) -> None:
    image = [[[-10.0, 1.0, 2.0, 3.0, 500.0]]]
    mask = np.ones((1, 1, 5))
    table = measure(mask, image, only(lower=1.0, upper=3.0))
    assert (table.value(SEGMENT, "minimum"), table.value(SEGMENT, "maximum")) == (1, 3)
    sigma = measure(mask, image, only(outlier_sigmas=1.5))
    assert sigma.value(SEGMENT, "maximum") == 3
    nothing = measure(mask, image, only(lower=1000.0))
    assert set(reasons(nothing).values()) == {"no voxel of the segment lies inside the intensity limits"}


@pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf"), "wide"])
def test_refuses_a_bin_width(measure: Callable, width: object) -> None:
    with pytest.raises(SettingsError, match=r"families\.first_order\.bin_width"):
        measure(np.ones((1, 1, 2)), settings={"families": {"first_order": {"bin_width": width}}})


@given(
    hnp.arrays(
        np.float64,
        st.integers(1, 30),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0]),
    )
)
@settings(max_examples=100, deadline=None)
def test_laws(measure: Callable, x: np.ndarray) -> None:
    table = measure(np.ones((1, 1, len(x))), x[None, None], only())
    v = {row.feature: row.value for row in table.rows}
    slack = 1e-9 * max(1.0, np.abs(x).max())
    assert v["minimum"] <= v["percentile_10"] <= v["median"] + slack <= v["percentile_90"] + 2 * slack
    assert v["percentile_90"] <= v["maximum"]
    assert v["minimum"] - slack <= v["mean"] <= v["maximum"] + slack
    assert v["median_absolute_deviation"] <= v["mean_absolute_deviation"] + slack
    assert v["mean_absolute_deviation"] <= v["standard_deviation"] + slack
    assert v["root_mean_square"] == pytest.approx(math.hypot(v["mean"], v["standard_deviation"]), rel=1e-6, abs=slack)
    assert 0 <= v["entropy"] <= math.log2(len(x)) + 1e-9
    assert 1 / len(x) - 1e-12 <= v["uniformity"] <= 1 + 1e-12
    if not math.isnan(v["skewness"]):
        # Pearson: the kurtosis is at least the squared skewness plus one.
        assert v["excess_kurtosis"] + 3 >= (v["skewness"] ** 2 + 1) * (1 - 1e-9)


def test_documented_codes() -> None:
    """IBSI reference manual, chapters 3.3 and 3.4; the standard deviation has no code."""
    codes = {info.name: info.ibsi for info in FAMILIES.get("first_order").features()}
    assert codes == {
        "mean": "Q4LE", "standard_deviation": "", "variance": "ECT3", "skewness": "KE2A", "excess_kurtosis": "IPH6",
        "median": "Y12H", "minimum": "1GSF", "percentile_10": "QG58", "percentile_90": "8DWT", "maximum": "84IY",
        "interquartile_range": "SALO", "intensity_range": "2OJQ", "mean_absolute_deviation": "4FUA",
        "robust_mean_absolute_deviation": "1128", "median_absolute_deviation": "N72L",
        "coefficient_of_variation": "7TET", "quartile_coefficient_of_dispersion": "9S40", "energy": "N8CA",
        "root_mean_square": "5ZWQ", "entropy": "TLU2", "uniformity": "BJ5W",
    }  # fmt: skip
