"""Agreement of two label maps: overlap by hand, empty cases, grids, the summary of a model card."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, GeometryError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.segment.evaluate import METRICS, compare, summarise

EMPTY = np.zeros((12, 12, 12), dtype=np.uint8)


def labels(array, spacing=(1.0, 1.0, 1.0), names=()):
    segments = tuple(Segment(n, name) for n, name in enumerate(names, start=1))
    return LabelMap(array, Geometry.from_spacing(array.shape, spacing), segments)


def cube(start, size=4, value=1):
    array = EMPTY.copy()
    array[start : start + size, 4:8, 4:8] = value
    return array


def test_shifted_cubes_by_hand():
    (score,) = compare(labels(cube(5), (1, 1, 2)), labels(cube(4), (1, 1, 2)))
    assert score.dice == pytest.approx(2 * 48 / 128)
    assert score.iou == pytest.approx(48 / 80)
    assert score.precision == score.recall == pytest.approx(48 / 64)
    assert score.specificity == pytest.approx((1728 - 80) / (1728 - 64))
    assert score.accuracy == pytest.approx((1728 - 32) / 1728)
    assert score.reference_ml == score.predicted_ml == pytest.approx(0.128)
    assert score.volume_error_ml == score.volume_error_percent == 0
    assert score.hd_mm == score.hd95_mm == 2.0
    assert (score.status, score.reason, score.matched_by) == ("scored", "", "labels")


def test_overlap_is_scikit_learns(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    a, b = (rng.integers(0, 4, (9, 10, 11)).astype(np.uint8) for _ in range(2))
    for score in compare(labels(a), labels(b)):
        truth, found = (b == score.label).ravel(), (a == score.label).ravel()
        assert score.dice == pytest.approx(metrics.f1_score(truth, found))
        assert score.iou == pytest.approx(metrics.jaccard_score(truth, found))
        assert score.precision == pytest.approx(metrics.precision_score(truth, found))
        assert score.recall == pytest.approx(metrics.recall_score(truth, found))
        assert score.specificity == pytest.approx(metrics.recall_score(~truth, ~found))
        assert score.accuracy == pytest.approx(metrics.accuracy_score(truth, found))


def test_equal_masks():
    (score,) = compare(labels(cube(4)), labels(cube(4)))
    ones = ("dice", "iou", "precision", "recall", "specificity", "accuracy", "surface_dice")
    assert {key: getattr(score, key) for key in METRICS} == {key: 1.0 if key in ones else 0.0 for key in METRICS}


def row(predicted, reference, **settings):
    (score,) = compare(predicted, reference, settings)
    return score


TOGETHER = ("dice", "iou", "surface_dice", "precision", "recall", "hd_mm", "hd95_mm", "assd_mm", "volume_error_percent")


def numbers(score):
    return tuple(getattr(score, key) for key in TOGETHER)


NONE = (None,) * 3


def test_an_empty_prediction_is_a_miss():
    score = row(labels(EMPTY), labels(cube(4)))
    assert numbers(score) == (0.0, 0.0, 0.0, None, 0.0, *NONE, -100.0)
    assert (score.status, score.reason) == ("prediction_empty", "the prediction is empty")
    assert (score.specificity, score.accuracy) == (1.0, pytest.approx(1 - 64 / 1728))
    assert score.volume_error_ml == pytest.approx(-0.064)


def test_an_empty_reference_is_an_invention():
    score = row(labels(cube(4)), labels(EMPTY))
    assert numbers(score) == (0.0, 0.0, 0.0, 0.0, None, *NONE, None)
    assert (score.status, score.reason) == ("reference_empty", "the reference is empty")
    assert score.specificity == pytest.approx(1 - 64 / 1728)
    assert score.volume_error_ml == pytest.approx(0.064)


def test_both_empty_is_undefined_and_not_perfect():
    score = row(labels(EMPTY, names=["Cyst"]), labels(EMPTY, names=["Cyst"]))
    assert numbers(score) == (None,) * 9
    assert (score.status, score.reason, score.specificity, score.accuracy) == ("both_empty", "both are empty", 1.0, 1.0)
    assert compare(labels(EMPTY), labels(EMPTY)) == []


def test_a_reference_that_fills_the_grid_has_no_specificity():
    full = np.ones_like(EMPTY)
    score = row(labels(cube(4)), labels(full))
    assert score.specificity is None
    assert score.hd_mm > 0


def test_different_grids_are_refused_with_both_shown():
    with pytest.raises(GeometryError, match=r"12 x 12 x 12 voxels of \(1, 1, 2\)") as error:
        compare(labels(cube(4)), labels(cube(4), (1, 1, 2)))
    assert "12 x 12 x 12 voxels of (1, 1, 1)" in str(error.value)


def test_resampling_is_asked_for_and_goes_to_the_references_grid():
    coarse = labels(cube(4))
    fine = LabelMap(coarse.array.repeat(2, 0), Geometry.from_spacing((24, 12, 12), (1.0, 1.0, 0.5), (0.0, 0.0, -0.25)))
    score = row(fine, coarse, resample=True)
    assert (score.dice, score.hd_mm, score.reference_ml) == (1.0, 0.0, pytest.approx(0.064))


def test_settings_are_checked():
    with pytest.raises(SettingsError, match=r"evaluate\.tolerance_mm"):
        compare(labels(EMPTY), labels(EMPTY), {"tolerance_mm": -1})
    with pytest.raises(SettingsError, match="tolerance"):
        compare(labels(EMPTY), labels(EMPTY), {"tolerance": 1})


def test_progress_rises_to_one_and_cancel_stops():
    array = np.arange(1728, dtype=np.uint16).reshape(12, 12, 12) // 200
    seen = []
    compare(labels(array), labels(array), progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    token = CancelToken()

    def stop(fraction, message):
        token.cancel()

    with pytest.raises(Cancelled):
        compare(labels(array), labels(array), progress=stop, cancel=token)


def test_large_labels_and_labels_on_one_side_only():
    a, b = EMPTY.astype(np.uint16), EMPTY.astype(np.uint16)
    a[2:4, 2:4, 2:4], b[2:4, 2:4, 2:4] = 65535, 65535
    a[8, 8, 8], b[9, 9, 9] = 300, 7
    scores = compare(labels(a), labels(b))
    assert [(s.label, s.status, s.dice) for s in scores] == [
        (7, "prediction_empty", 0.0),
        (65535, "scored", 1.0),
        (300, "reference_empty", 0.0),
    ]


def test_the_card_leaves_undefined_numbers_out():
    scores = compare(labels(cube(4)), labels(cube(4)), case="a") + compare(labels(EMPTY), labels(cube(4)), case="b")
    summary = summarise(scores)[1]
    assert summary["cases"] == 2
    assert summary["dice"]["mean"] == 0.5
    assert summary["hd95_mm"] == {"n": 1, "mean": 0.0, "sd": 0.0, "median": 0.0, "minimum": 0.0, "maximum": 0.0}
    assert set(summary) == {"cases", "dice", "hd95_mm", "volume_error_percent"}
