"""Values and settings at the ends of what numbers can hold: a result, or one plain sentence, and never a warning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medai.core.errors import InputError, MedAIError, SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.histogram import histogram_of
from medai.segment.pipeline import apply_filters, run
from medai.segment.segmenters._thresholds import first_bright_value

SHAPE = (12, 14, 16)
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def body(rng: np.random.Generator) -> np.ndarray:
    """Dark noise from 20 to 59 with a bright block from 140 to 179."""
    array = rng.integers(20, 60, SHAPE).astype(np.float64)
    array[3:9, 4:10, 5:12] += 120
    return array


def volume(array: np.ndarray) -> Volume:
    return Volume(array, Geometry.from_spacing(array.shape, (0.9, 1.0, 1.5)))


@pytest.mark.parametrize("method", ["otsu", "li", "yen", "triangle", "isodata", "minimum_error"])
@pytest.mark.parametrize("factor", [1e300, 1e-310])
def test_a_threshold_does_not_depend_on_the_unit(body: np.ndarray, method: str, factor: float) -> None:
    usual = body >= first_bright_value(histogram_of(body + 0.5), method)
    assert 0 < usual.sum() < usual.size
    array = (body + 0.5) * factor
    scaled = array >= first_bright_value(histogram_of(array), method)
    # The scaled values round to other bins; a voxel or two at the threshold may change.
    assert np.mean(scaled != usual) < 0.02


def test_a_segmenter_refuses_values_whose_squares_do_not_fit(body: np.ndarray) -> None:
    for step in ("kmeans", "gmm", "multi_otsu", "threshold", "canny"):
        with pytest.raises(InputError, match="takes values up to"):
            run(volume(body * 1e300), [{"step": step}])
    array = body.copy()
    array[0, 0, 0] = np.inf
    assert run(volume(array), [{"step": "kmeans"}]).array.any()


@pytest.mark.parametrize(
    "step", ["canny", "gradient_edges", "zero_crossings", "smooth_gaussian", "smooth_median", "local_threshold"]
)
def test_a_millimetre_of_ten_thousand_voxels_is_refused_at_once(body: np.ndarray, step: str) -> None:
    image = Volume(body, Geometry.from_spacing(SHAPE, (1e-4, 1e-4, 1e-4)))
    with pytest.raises(SettingsError, match="too wide for an axis"):
        run(image, [{"step": "threshold"}, {"step": step}])


@pytest.mark.parametrize(("dtype", "offset"), [(np.uint64, 2**63), (np.int64, 2**62), (np.int64, -(2**62))])
@pytest.mark.parametrize("spread", [1, 1000])
def test_whole_numbers_that_reals_cannot_tell_apart_are_refused(
    body: np.ndarray, dtype: type, offset: int, spread: int
) -> None:
    array = body.astype(dtype) * dtype(spread) + dtype(offset)
    with pytest.raises(InputError, match="cannot be told apart"):
        histogram_of(array)
    with pytest.raises(InputError, match="cannot be told apart"):
        run(volume(array), [{"step": "threshold"}])


def test_huge_whole_numbers_that_lie_far_apart_are_counted() -> None:
    array = np.array([0, 2**63, 2**64 - 1], dtype=np.uint64).reshape(1, 1, 3)
    assert histogram_of(array).total == 3
    constant = histogram_of(np.full((2, 2, 2), 2**63 + 1, dtype=np.uint64))
    assert constant.counts.tolist() == [8]


@pytest.mark.parametrize("centre", [[1e300, 0, 0], [1.7e308] * 3, [-1.7e308, 1.7e308, 0]])
def test_a_region_far_away_lies_outside(body: np.ndarray, centre: list[float]) -> None:
    with pytest.raises(InputError, match="outside the image"):
        apply_filters(volume(body), [{"step": "crop", "settings": {"centre_ras": centre}}])


@pytest.mark.parametrize(
    "step",
    [
        {"step": "pad", "settings": {"value": 1.7e308}},
        {
            "step": "resample_to",
            "settings": {
                "grid": {"shape": [4, 4, 4], "ijk_to_ras": [[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]]},
                "fill": -1.7e308,
            },
        },
    ],
)
def test_a_fill_beyond_the_type_is_refused(body: np.ndarray, step: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="beyond the numbers"):
        apply_filters(volume(body.astype(np.float32)), [step])


def test_a_scan_ages_after_the_injection_is_refused(body: np.ndarray) -> None:
    settings = {
        "units": "BQML", "weight_kg": 70, "dose_mbq": 370, "half_life_min": 109.77, "delay_min": 200000,
        "decay_correction": "START",
    }  # fmt: skip
    with pytest.raises(InputError, match="implausible"):
        apply_filters(volume(body), [{"step": "suv", "settings": settings}])


def test_a_histogram_that_is_hardly_smoothed(body: np.ndarray) -> None:
    found = apply_filters(volume(body), [{"step": "white_stripe", "settings": {"smoothing": 5e-324, "width": 0.2}}])
    assert np.isfinite(found.array).all()


def test_landmarks_too_close_for_their_standard(body: np.ndarray) -> None:
    settings = {"percents": [0, 50, 100], "standard": [0, 50, 100]}
    with pytest.raises(InputError, match="too close together"):
        apply_filters(volume(body * 1e-310), [{"step": "nyul", "settings": settings}])


def test_an_image_of_eight_metres_is_no_head(body: np.ndarray) -> None:
    pytest.importorskip("nilearn")
    image = Volume(body, Geometry.from_spacing(SHAPE, (500.0, 800.0, 1000.0)))
    with pytest.raises(MedAIError, match="too much for a head"):
        run(image, [{"step": "atlas_brain"}])


def test_closing_by_ten_thousand_voxels_is_refused_before_memory_is_taken(body: np.ndarray) -> None:
    image = Volume(body, Geometry.from_spacing(SHAPE, (1e-4, 1e-4, 1e-4)))
    with pytest.raises(InputError, match="Closing by 2 mm"):
        run(image, [{"step": "threshold"}, {"step": "close"}])


def test_a_median_that_would_take_hours_is_refused() -> None:
    noise = np.zeros((48, 160, 160), np.float32)
    settings = {"method": "median", "dimensions": "3D", "block_mm": 41}
    with pytest.raises(SettingsError, match="would take hours"):
        run(
            Volume(noise, Geometry.from_spacing(noise.shape, (1.0, 1.0, 1.0))),
            [{"step": "local_threshold", "settings": settings}],
        )


def test_a_box_of_voxels_that_no_integer_holds_is_refused(body: np.ndarray) -> None:
    for first in (10**30, 2**63 - 8, -(10**30)):
        with pytest.raises(SettingsError, match="first_ijk"):
            apply_filters(volume(body), [{"step": "crop", "settings": {"box": "voxels", "first_ijk": [first, 0, 0]}}])
