"""Agreement measures: by hand, and against MONAI."""

import numpy as np
import pytest

from medai.core.errors import GeometryError, InputError
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap
from medai.core.labelmap import LabelMap
from medai.segment.evaluate import compare, evaluate_files, hausdorff95, summarise


def labels(array, spacing=(1.0, 1.0, 1.0)):
    return LabelMap(array, Geometry.from_spacing(array.shape, spacing))


def cube(start, size=4, shape=(12, 12, 12)):
    array = np.zeros(shape, dtype=np.uint8)
    array[start : start + size, 4:8, 4:8] = 1
    return array


def test_shifted_cubes_by_hand():
    (score,) = compare(labels(cube(5), (1, 1, 2)), labels(cube(4), (1, 1, 2)))
    assert score.dice == pytest.approx(2 * 48 / 128)
    assert score.reference_ml == score.predicted_ml == pytest.approx(0.128)
    assert score.volume_error_percent == 0
    assert score.hd95_mm == pytest.approx(2.0)


def test_equal_masks():
    (score,) = compare(labels(cube(4)), labels(cube(4)))
    assert (score.dice, score.hd95_mm, score.volume_error_percent) == (1.0, 0.0, 0.0)


def test_what_is_missing_on_one_side_is_defined():
    empty = np.zeros((12, 12, 12), dtype=np.uint8)
    (missed,) = compare(labels(empty), labels(cube(4)))
    assert (missed.dice, missed.hd95_mm, missed.volume_error_percent) == (0.0, None, -100.0)
    assert missed.reason == "the prediction is empty"
    (invented,) = compare(labels(cube(4)), labels(empty))
    assert (invented.dice, invented.hd95_mm, invented.volume_error_percent) == (0.0, None, None)
    assert invented.reason == "the reference is empty"
    assert compare(labels(empty), labels(empty)) == []


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.8, 3.0)])
def test_hausdorff_is_monais(rng, spacing):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    from scipy.ndimage import gaussian_filter

    for _ in range(5):
        a, b = (gaussian_filter(rng.normal(size=(20, 24, 28)), 2) > 0.03 for _ in range(2))
        expected = metrics.compute_hausdorff_distance(
            torch.tensor(a)[None, None].float(), torch.tensor(b)[None, None].float(),
            include_background=True, percentile=95, spacing=spacing[::-1],
        ).item()  # fmt: skip
        assert hausdorff95(a, b, spacing[::-1]) == pytest.approx(expected, rel=1e-5)


def test_different_grids_are_refused_with_both_shown():
    with pytest.raises(GeometryError, match=r"12 x 12 x 12 voxels of \(1, 1, 2\)"):
        compare(labels(cube(4)), labels(cube(4), (1, 1, 2)))


def test_folders_are_matched_by_name_and_a_bad_case_does_not_stop_the_others(tmp_path):
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
    write_labelmap(labels(cube(4)), tmp_path / "pred" / "a.nii.gz")
    write_labelmap(labels(cube(5)), tmp_path / "ref" / "a.nrrd")
    write_labelmap(labels(cube(4)), tmp_path / "pred" / "b.nii.gz")
    write_labelmap(labels(cube(4), (2, 2, 2)), tmp_path / "ref" / "b.nii.gz")
    result = evaluate_files(tmp_path / "pred", tmp_path / "ref")
    assert [s.case for s in result.scores] == ["a"]
    assert list(result.failures) == ["b"]
    assert "grid" in result.failures["b"]


def test_unmatched_names_are_all_listed(tmp_path):
    for folder, name in (("pred", "a"), ("ref", "b")):
        (tmp_path / folder).mkdir()
        write_labelmap(labels(cube(4)), tmp_path / folder / f"{name}.nii.gz")
    with pytest.raises(InputError, match="a, b"):
        evaluate_files(tmp_path / "pred", tmp_path / "ref")
    with pytest.raises(InputError, match="not one of each"):
        evaluate_files(tmp_path / "pred", tmp_path / "ref" / "b.nii.gz")


def test_summary_leaves_undefined_numbers_out():
    empty = np.zeros((12, 12, 12), dtype=np.uint8)
    scores = compare(labels(cube(4)), labels(cube(4)), case="a") + compare(labels(empty), labels(cube(4)), case="b")
    row = summarise(scores)[1]
    assert row["cases"] == 2
    assert row["dice"]["mean"] == 0.5
    assert row["hd95_mm"] == {"n": 1, "mean": 0.0, "sd": 0.0, "median": 0.0, "minimum": 0.0, "maximum": 0.0}
